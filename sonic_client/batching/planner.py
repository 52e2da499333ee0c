"""Which requests travel together: in order, as many as the bounds allow."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from sonic_client.batching.base import CheckedRequest
from sonic_client.batching.limits import Load, MessageLimits

__all__ = ["BatchPlanner", "plan_messages"]


class BatchPlanner:
    """Groups consecutive requests, in order, by number, bytes and batch size.

    Every request is in exactly one batch, and no batch is empty. A batch may hold
    requests of several kinds: `plan_messages` takes them apart.
    """

    def __init__(self, limits: MessageLimits) -> None:
        self._limits = limits
        self._waiting: list[CheckedRequest] = []
        self._load = Load()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: CheckedRequest) -> list[list[CheckedRequest]]:
        """Take the next request; return the batches that it completes."""
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
        """Bytes of the requests that wait."""
        return self._load.n_bytes

    def remove(self, item: CheckedRequest) -> bool:
        """Forget a request; return whether it was waiting."""
        if item not in self._waiting:
            return False
        self._waiting.remove(item)
        self._load = Load.of(self._waiting)
        return True

    def flush(self) -> list[list[CheckedRequest]]:
        """Return what waits for more, as the last batch, if there is any."""
        batch, self._waiting, self._load = self._waiting, [], Load()
        return [batch] if batch else []


def plan_messages(
    batch: Sequence[CheckedRequest], limits: MessageLimits
) -> list[list[int]]:
    """Return which requests of a batch go into which message, by their places.

    Those of one kind go together, in order, as far as the bounds allow. Every
    place is in exactly one message; no message is empty.
    """
    if len(batch) == 1:
        return [[0]]
    places: dict[Hashable, list[int]] = {}
    for place, item in enumerate(batch):
        places.setdefault(item.kind, []).append(place)
    return [
        message
        for of_kind in places.values()
        for message in _within_limits(of_kind, batch, limits)
    ]


def _within_limits(
    places: Iterable[int], batch: Sequence[CheckedRequest], limits: MessageLimits
) -> Iterator[list[int]]:
    message: list[int] = []
    load = Load()
    for place in places:
        item = batch[place]
        if message and not limits.admit(load.plus(item)):
            yield message
            message, load = [], Load()
        message.append(place)
        load = load.plus(item)
    if message:
        yield message
