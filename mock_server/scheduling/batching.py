"""Which of the waiting requests run next, and together.

Rules: ``DynamicBatchScheduler::GetDynamicBatch`` in triton-inference-server/core,
``src/dynamic_batch_scheduler.cc``.
"""

from collections.abc import Hashable

from mock_server.model.batching import DynamicBatching
from mock_server.scheduling.pending import PendingRequest, Turn
from mock_server.scheduling.queue import NANOSECONDS, RequestQueue


class OneByOne:
    """Every request runs by itself, in the order in which they came."""

    wakes_all = False

    def __init__(self) -> None:
        self._queue = RequestQueue()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, pending: PendingRequest) -> None:
        """Queue a request."""
        self._queue.add(pending)

    def take(self, instance: int, now_ns: int) -> Turn:
        """Request for an instance that is free, of whatever number.

        Be it cancelled or not: Triton looks at none that waits here.
        """
        batch = [pending for pending, _ in zip(self._queue, range(1), strict=False)]
        self._queue.remove(batch)
        return Turn(batch)

    def executed(self, instance: int, now_ns: int) -> None:
        """Nothing to note: instances are all alike here."""


class DynamicBatcher:
    """Joins requests of equal shapes up to the model's largest batch.

    Parameters
    ----------
    settings : DynamicBatching
        Preferred sizes, delay, priorities and queue policies.
    max_batch_size : int
        Rows; a batch takes no more, and a request of more was refused before.
    """

    wakes_all = False

    def __init__(self, settings: DynamicBatching, max_batch_size: int) -> None:
        self._preferred = frozenset(settings.preferred_batch_size) or {max_batch_size}
        self._max_batch_size = max_batch_size
        self._delay_ns = round(settings.max_queue_delay_s * NANOSECONDS)
        self._queue = RequestQueue(
            settings.default_queue_policy,
            levels=settings.priority_levels,
            default_level=settings.default_priority_level,
            policies=settings.priority_queue_policy,
        )

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, pending: PendingRequest) -> None:
        """Queue a request.

        Raises
        ------
        ModelError
            UNAVAILABLE if its queue is full.
        """
        self._queue.add(pending)

    def take(self, instance: int, now_ns: int) -> Turn:
        """Batch for an instance that is free, of whatever number.

        A preferred size runs at once, the largest of those reached, or what is left
        below all of them once the next request is too large; else whatever fits runs as
        soon as it cannot grow, or its oldest request was held back long enough.
        """
        dropped = self._queue.give_up(now_ns)
        batch, preferred, rows, is_full = self._candidates()
        if not batch:
            return Turn(dropped=dropped)
        if preferred:
            batch = batch[:preferred]
        elif not is_full and rows < max(self._preferred):
            oldest_ns = min(pending.arrived_ns for pending in batch)
            left_ns = oldest_ns + self._delay_ns - now_ns
            if left_ns > 0:
                return Turn(dropped=dropped, wait_s=left_ns / NANOSECONDS)
        self._queue.remove(batch)
        return Turn(batch, dropped)

    def executed(self, instance: int, now_ns: int) -> None:
        """Nothing to note: instances are all alike here."""

    def _candidates(self) -> tuple[list[PendingRequest], int, int, bool]:
        """Requests that fit together, how many of them reach a preferred size, rows."""
        batch: list[PendingRequest] = []
        preferred = rows = 0
        for pending in self._queue:
            size = max(1, pending.batch_size)
            if batch and not preferred and rows + size > max(self._preferred):
                preferred = len(batch)
            if batch and (
                rows + size > self._max_batch_size
                or joined_form(pending) != joined_form(batch[0])
            ):
                return batch, preferred, rows, True
            batch.append(pending)
            rows += size
            if rows in self._preferred:
                preferred = len(batch)
        return batch, preferred, rows, False


def joined_form(pending: PendingRequest) -> Hashable:
    """Whatever must be equal for two requests to run in one batch."""
    return frozenset(
        (tensor.name, tensor.datatype, tensor.shape[1:])
        for tensor in pending.request.inputs
    )
