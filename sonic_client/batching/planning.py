"""The requests of each message, by configured, declared, and learned bounds."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sonic_client.batching.checks import CheckedRequest
from sonic_client.batching.layouts import BatchingLayout
from sonic_client.errors import RejectedRequestError, RequestTooLargeError

__all__ = ["BatchPlanner", "Load", "MessageLimits", "plan_messages"]

logger = logging.getLogger(__name__)

# The texts of Triton, gRPC and this client.
_BATCH_SIZE = re.compile(r"batch-size must be <= (\d+)")
_MESSAGE_BYTES = re.compile(
    r"larger than max \((?P<got>\d+) vs\. (?P<limit>\d+)\)"
    r"|(?:(?P<size>\d+) bytes\b.{0,40}?)?"
    r"\b(?:limit|maximum|allowed value|input size) (?:of|is) (?P<named>\d+)"
)
# Part of a limit that is left to the names and shapes of tensors, where the refusal
# does not say how large the whole message was.
_HEADER_SHARE = 1 / 16
_ANSWER_TOO_LARGE = "CLIENT: Received message larger"


class Load(NamedTuple):
    """The size of a message, in all terms that are bounded."""

    events: int = 0  #: requests of the caller
    n_bytes: int = 0  #: bytes of all their tensors
    largest: int = 0  #: bytes of the largest request
    batch_size: int = 0  #: length of the batch dimension, where there is one

    def plus(self, item: CheckedRequest) -> Load:
        """Return the load with one more request."""
        return Load(
            self.events + 1,
            self.n_bytes + item.n_bytes,
            max(self.largest, item.n_bytes),
            self.batch_size + item.batch_size,
        )

    @classmethod
    def of(cls, batch: Iterable[CheckedRequest]) -> Load:
        """Return the load of these requests."""
        load = cls()
        for item in batch:
            load = load.plus(item)
        return load


class MessageLimits:
    """Bounds of one message to one model, while the client is open.

    Parameters
    ----------
    layout : BatchingLayout
    servers : sequence of str
        Names of the servers; each may have a limit of its own.

    Attributes
    ----------
    max_events, max_bytes : int
        Requests, and the bytes of their tensors. One request may exceed the bytes. The
        bytes are those that at least one server takes.
    max_batch_size : int
        Bound of the batch dimension; 0 if there is none.

    Notes
    -----
    Safe to use from several threads.
    """

    def __init__(self, layout: BatchingLayout, servers: Sequence[str] = ()) -> None:
        self._layout, self._servers = layout, tuple(servers)
        self._bytes_of_server: dict[str, int] = {}
        self.max_events, self.max_bytes = layout.max_events, layout.max_bytes
        self.max_batch_size = layout.max_batch_size

    def admit(self, load: Load) -> bool:
        """Whether this can be one message; a single request may have any bytes."""
        return (
            load.events <= self.max_events
            and not self.is_over_batch_size(load)
            and (load.events <= 1 or self.bytes_of(load) <= self.max_bytes)
        )

    def is_full(self, load: Load) -> bool:
        """Whether no request can be added, however small."""
        return (
            load.events >= self.max_events
            or self.bytes_of(load) >= self.max_bytes
            or bool(self.max_batch_size and load.batch_size >= self.max_batch_size)
        )

    def is_over_batch_size(self, load: Load) -> bool:
        """Whether the batch dimension would be longer than the server accepts."""
        return bool(self.max_batch_size and load.batch_size > self.max_batch_size)

    def bytes_of(self, load: Load) -> int:
        """Return the bytes of the tensors in the message, including padding."""
        return load.events * load.largest if self._layout.pads else load.n_bytes

    def servers_below(self, batch: Sequence[CheckedRequest]) -> Collection[str]:
        """Return the names of the servers that are known to take no such message."""
        if not self._bytes_of_server:
            return ()
        n_bytes = self.bytes_of(Load.of(batch))
        return [name for name, most in self._bytes_of_server.items() if most < n_bytes]

    def learn_batch_size(
        self, error: RejectedRequestError, batch: Sequence[CheckedRequest]
    ) -> bool:
        """Apply the batch size that a refusal names, if it names one.

        Returns
        -------
        bool
            Whether it divides the refused batch into smaller messages.
        """
        found = _BATCH_SIZE.search(error.details)
        if found is None:
            return False
        known, named = self.max_batch_size, int(found[1])
        if named and (not known or named < known):
            self.max_batch_size = named
            logger.info("%s accepts batches of %d at most", error.server, named)
        return self.is_over_batch_size(Load.of(batch)) and self._is_divisible(batch)

    def learn_bytes(
        self,
        error: RequestTooLargeError,
        batch: Sequence[CheckedRequest],
        *,
        server: str,
    ) -> bool:
        """Keep the bytes that a server takes, as far as its refusal says.

        Where it names no limit, half of the refused bytes are taken for it.

        Returns
        -------
        bool
            Whether the refused batch can now be sent in another way: in the messages
            that the bounds allow, or whole to another server.
        """
        load = Load.of(batch)
        n_bytes = self.bytes_of(load)
        named = max(1, min(n_bytes - 1, _tensor_bytes(error.details, n_bytes)))
        is_new = named < self._bytes_of_server.get(server, n_bytes)
        if is_new:
            self._bytes_of_server[server] = named
            logger.info("%s accepts %d bytes at most", error.server, named)
            names = self._servers or tuple(self._bytes_of_server)
            most = [
                self._bytes_of_server.get(name, self._layout.max_bytes)
                for name in names
            ]
            self.max_bytes = min(self._layout.max_bytes, max(most))
        if load.events == 1:
            return False
        return is_new or not self.admit(load)

    def _is_divisible(self, batch: Sequence[CheckedRequest]) -> bool:
        if len(batch) > 1:
            return True
        return len(self._layout.cut(batch[0], self.max_batch_size)) > 1


def _tensor_bytes(details: str, n_bytes: int) -> int:
    """Return how many bytes of input tensors fit, where `n_bytes` of them did not."""
    found = _MESSAGE_BYTES.search(details)
    if found is None:
        return n_bytes // 2
    limit = int(found["limit"] or found["named"])
    size = found["got"] or found["size"]
    if size is None:
        return limit - int(limit * _HEADER_SHARE)
    got = int(size)
    if _ANSWER_TOO_LARGE in details:
        # The answer was too large. It grows with the inputs.
        return n_bytes * limit // got
    # Names and shapes of the tensors take as many bytes in any message.
    return limit - max(0, got - n_bytes)


class BatchPlanner:
    """Groups consecutive requests, in order, by number, bytes and batch size.

    Every request is in exactly one batch, and no batch is empty. A batch may hold
    requests of several kinds, which `plan_messages` separates.
    """

    def __init__(self, limits: MessageLimits) -> None:
        self._limits = limits
        self._waiting: list[CheckedRequest] = []
        self._load = Load()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: CheckedRequest) -> list[list[CheckedRequest]]:
        """Add the next request; return the batches that it completes."""
        if self._limits.max_events == 1:
            return [[item]]
        complete = []
        if self._waiting and not self._limits.admit(self._load.plus(item)):
            complete += self.flush()
        self._waiting.append(item)
        self._load = self._load.plus(item)
        if self._limits.is_full(self._load):
            complete += self.flush()
        return complete

    @property
    def n_bytes(self) -> int:
        """Bytes of the waiting requests."""
        return self._load.n_bytes

    def remove(self, item: CheckedRequest) -> bool:
        """Remove a request; return whether it was waiting."""
        if item not in self._waiting:
            return False
        self._waiting.remove(item)
        self._load = Load.of(self._waiting)
        return True

    def flush(self) -> list[list[CheckedRequest]]:
        """Return the waiting requests as the last batch, if there are any."""
        batch, self._waiting, self._load = self._waiting, [], Load()
        return [batch] if batch else []


def plan_messages(
    batch: Sequence[CheckedRequest], limits: MessageLimits
) -> list[list[int]]:
    """Return the messages of a batch, each as the indices of its requests.

    Requests of one kind go together, in order, as far as the bounds allow. Every
    index is in exactly one message; no message is empty.
    """
    if len(batch) == 1:
        return [[0]]
    indices: dict[Hashable, list[int]] = {}
    for index, item in enumerate(batch):
        indices.setdefault(item.kind, []).append(index)
    return [
        message
        for of_kind in indices.values()
        for message in _within_limits(of_kind, batch, limits)
    ]


def _within_limits(
    indices: Iterable[int], batch: Sequence[CheckedRequest], limits: MessageLimits
) -> Iterator[list[int]]:
    message: list[int] = []
    load = Load()
    for index in indices:
        item = batch[index]
        if message and not limits.admit(load.plus(item)):
            yield message
            message, load = [], Load()
        message.append(index)
        load = load.plus(item)
    if message:
        yield message
