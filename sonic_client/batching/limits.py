"""How large a message may be: configured, declared, and learned from refusals."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sonic_client.batching.base import BatchingLayout, CheckedRequest
from sonic_client.errors import RejectedRequestError

__all__ = ["Load", "MessageLimits"]

logger = logging.getLogger(__name__)

# As Triton and gRPC write them.
_BATCH_SIZE = re.compile(r"batch-size must be <= (\d+)")
_MESSAGE_BYTES = re.compile(r"larger than max \((\d+) vs\. (\d+)\)")
_ANSWER_TOO_LARGE = "CLIENT: Received message larger"


class Load(NamedTuple):
    """What a message holds, as far as bounds are about it."""

    events: int = 0  #: requests of the caller
    n_bytes: int = 0  #: of all their tensors
    largest: int = 0  #: bytes of the largest request
    batch_size: int = 0  #: length of the batch dimension, where there is one

    def plus(self, item: CheckedRequest) -> Load:
        """Return the load with one request more."""
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
    """Bounds of one message to one model, for as long as the client is open.

    Parameters
    ----------
    layout : BatchingLayout

    Attributes
    ----------
    max_events, max_bytes : int
        Requests, and the bytes of their tensors. One request may exceed the bytes.
    max_batch_size : int
        Of the batch dimension; 0 if there is no bound.

    Notes
    -----
    May be read and told from several threads.
    """

    def __init__(self, layout: BatchingLayout) -> None:
        self._layout = layout
        self.max_events, self.max_bytes = layout.max_events, layout.max_bytes
        self.max_batch_size = layout.max_batch_size

    def admit(self, load: Load) -> bool:
        """Whether this may be one message; of a single request the bytes are free."""
        return (
            load.events <= self.max_events
            and not self.is_over_batch_size(load)
            and (load.events <= 1 or self.bytes_of(load) <= self.max_bytes)
        )

    def is_full(self, load: Load) -> bool:
        """Whether no request could join, however small."""
        return (
            load.events >= self.max_events
            or self.bytes_of(load) >= self.max_bytes
            or bool(self.max_batch_size and load.batch_size >= self.max_batch_size)
        )

    def is_over_batch_size(self, load: Load) -> bool:
        """Whether the batch dimension would be longer than the server takes."""
        return bool(self.max_batch_size and load.batch_size > self.max_batch_size)

    def bytes_of(self, load: Load) -> int:
        """Return the bytes of the tensors in the message, filled up if need be."""
        return load.events * load.largest if self._layout.fills_up else load.n_bytes

    def learn(
        self, error: RejectedRequestError, batch: Sequence[CheckedRequest]
    ) -> bool:
        """Take the bound that a refusal names, if it does.

        Returns
        -------
        bool
            Whether what was refused now has a plan for smaller messages, so that
            no guess is needed.
        """
        load = Load.of(batch)
        if found := _BATCH_SIZE.search(error.details):
            known, named = self.max_batch_size, int(found[1])
            if named and (not known or named < known):
                self.max_batch_size = named
                logger.info("%s takes batches of %d at most", error.server, named)
            return self.is_over_batch_size(load) and self._is_divisible(batch)
        if found := _MESSAGE_BYTES.search(error.details):
            got, limit = int(found[1]), int(found[2])
            named = _tensor_bytes(error.details, self.bytes_of(load), got, limit)
            if 0 < named < self.max_bytes:
                self.max_bytes = named
                logger.info("%s takes %d bytes at most", error.server, named)
            return load.events > 1 and not self.admit(load)
        return False

    def _is_divisible(self, batch: Sequence[CheckedRequest]) -> bool:
        if len(batch) > 1:
            return True
        return len(self._layout.cut(batch[0], self.max_batch_size)) > 1


def _tensor_bytes(details: str, n_bytes: int, got: int, limit: int) -> int:
    """Return how many bytes of input tensors fit, where `n_bytes` of them did not."""
    if _ANSWER_TOO_LARGE in details:
        # The answer was too large, not the message: it grows with the inputs.
        return n_bytes * limit // got
    # Beside the tensors a message holds their names and shapes, which stay.
    return limit - max(0, got - n_bytes)
