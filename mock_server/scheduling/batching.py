"""Which of the waiting requests run next, and together.

Rules: ``DynamicBatchScheduler::GetDynamicBatch`` in triton-inference-server/core,
``src/dynamic_batch_scheduler.cc``.
"""

from collections.abc import Hashable
from itertools import islice

from mock_server.model.batching import DynamicBatching
from mock_server.scheduling.queue import (
    NANOSECONDS,
    Dropped,
    PendingRequest,
    RequestQueue,
    Turn,
)


class OneByOne:
    """A `Scheduler`: every request runs by itself, in the order of arrival."""

    wakes_all = False

    def __init__(self) -> None:
        self._queue = RequestQueue()

    def __len__(self) -> int:
        return len(self._queue)

    def drop_cancelled(self) -> list[Dropped]:
        """Remove the requests whose clients have left."""
        return self._queue.drop_cancelled()

    def add(self, pending: PendingRequest) -> None:
        """Queue a request."""
        self._queue.add(pending)

    def take(self, instance: int, now_ns: int) -> Turn:
        """Return the next request, cancelled or not: Triton does not check here."""
        batch = list(islice(self._queue, 1))
        self._queue.remove(batch)
        return Turn(batch)

    def executed(self, instance: int, now_ns: int) -> None:
        """Do nothing: all instances are alike."""


class DynamicBatcher:
    """A `Scheduler` that joins requests of equal shapes up to the largest batch.

    Parameters
    ----------
    settings : DynamicBatching
        Preferred sizes, delay, priorities and queue policies.
    max_batch_size : int
        Most rows of a batch; a larger request was refused before.
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

    def drop_cancelled(self) -> list[Dropped]:
        """Remove the requests whose clients have left."""
        return self._queue.drop_cancelled()

    def add(self, pending: PendingRequest) -> None:
        """Queue a request.

        Raises
        ------
        ModelError
            UNAVAILABLE if its queue is full.
        """
        self._queue.add(pending)

    def take(self, instance: int, now_ns: int) -> Turn:
        """Return the batch that runs now, or how long to wait for it.

        A preferred size runs at once: the largest one reached, or what there is below
        all of them if the next request is too large to join. Other sizes run when no
        request can join any more, or when the oldest has been held back long enough.
        """
        dropped = self._queue.drop(now_ns)
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
        """Do nothing: all instances are alike."""

    def _candidates(self) -> tuple[list[PendingRequest], int, int, bool]:
        """Find the requests that fit together.

        Returns
        -------
        batch : list of PendingRequest
        preferred : int
            How many of them reach a preferred size; 0 if they do not.
        rows : int
        is_full : bool
            Whether the next request cannot join.
        """
        batch: list[PendingRequest] = []
        preferred = rows = 0
        for pending in self._queue:
            size = max(1, pending.batch_size)
            if batch and not preferred and rows + size > max(self._preferred):
                preferred = len(batch)
            if batch and (
                rows + size > self._max_batch_size
                or batch_key(pending) != batch_key(batch[0])
            ):
                return batch, preferred, rows, True
            batch.append(pending)
            rows += size
            if rows in self._preferred:
                preferred = len(batch)
        return batch, preferred, rows, False


def batch_key(pending: PendingRequest) -> Hashable:
    """Return a value that is equal for requests that can run in one batch."""
    return frozenset(
        (tensor.name, tensor.datatype, tensor.shape[1:])
        for tensor in pending.request.inputs
    )
