"""The requests of each message, by configured, declared, and learned bounds."""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sonic_client.batching.checks import CheckedRequest
from sonic_client.batching.layouts import BatchingLayout
from sonic_client.errors import RejectedRequestError

__all__ = ["BatchPlanner", "Load", "MessageLimits", "plan_messages"]

logger = logging.getLogger(__name__)

# The texts of Triton and gRPC.
_BATCH_SIZE = re.compile(r"batch-size must be <= (\d+)")
_MESSAGE_BYTES = re.compile(r"larger than max \((\d+) vs\. (\d+)\)")
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

    Attributes
    ----------
    max_events, max_bytes : int
        Requests, and the bytes of their tensors. One request may exceed the bytes.
    max_batch_size : int
        Bound of the batch dimension; 0 if there is none.

    Notes
    -----
    Safe to use from several threads.
    """

    def __init__(self, layout: BatchingLayout) -> None:
        self._layout = layout
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

    def learn(
        self, error: RejectedRequestError, batch: Sequence[CheckedRequest]
    ) -> bool:
        """Apply the bound that a refusal names, if it names one.

        Returns
        -------
        bool
            Whether the bounds now divide the refused batch into smaller messages, so
            that no guess is needed.
        """
        load = Load.of(batch)
        if found := _BATCH_SIZE.search(error.details):
            known, named = self.max_batch_size, int(found[1])
            if named and (not known or named < known):
                self.max_batch_size = named
                logger.info("%s accepts batches of %d at most", error.server, named)
            return self.is_over_batch_size(load) and self._is_divisible(batch)
        if found := _MESSAGE_BYTES.search(error.details):
            got, limit = int(found[1]), int(found[2])
            named = _tensor_bytes(error.details, self.bytes_of(load), got, limit)
            if 0 < named < self.max_bytes:
                self.max_bytes = named
                logger.info("%s accepts %d bytes at most", error.server, named)
            return load.events > 1 and not self.admit(load)
        return False

    def _is_divisible(self, batch: Sequence[CheckedRequest]) -> bool:
        if len(batch) > 1:
            return True
        return len(self._layout.cut(batch[0], self.max_batch_size)) > 1


def _tensor_bytes(details: str, n_bytes: int, got: int, limit: int) -> int:
    """Return how many bytes of input tensors fit, where `n_bytes` of them did not."""
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
