"""The queue of one `map`: its requests on their way into messages, as bookkeeping."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from sonic_client.batching import BatchPlanner, CheckedRequest
from sonic_client.flow.window import Finished, Ready, Window
from sonic_client.types import Outcome

__all__ = ["MapQueue"]


class MapQueue:
    """Plans what is sent when, between the reader, the servers and the consumer.

    After every change, `take_ready` returns what can be sent. The reader must stop
    while `is_full`, so that memory is bounded by the window.

    Parameters
    ----------
    planner : BatchPlanner
        Its own, empty.
    window : Window
        Its own, empty.
    max_delay_s : float
        Seconds after which a batch is sent though it is not full.
    clock : callable
        Monotonic seconds.

    Notes
    -----
    Not thread-safe: threads that share it hold a lock.
    """

    def __init__(
        self,
        planner: BatchPlanner,
        window: Window,
        *,
        max_delay_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._planner, self._window = planner, window
        self._max_delay_s, self._clock = max_delay_s, clock
        self._complete: deque[Sequence[CheckedRequest]] = deque()
        self._due_at = 0.0
        self._is_overdue = self._is_closed = False
        self._error: Exception | None = None

    def put(self, item: CheckedRequest) -> None:
        """Add the reader's next request."""
        self._complete.extend(self._planner.add(item))
        if len(self._planner) == 1:  # the first of a new batch
            self._due_at = self._clock() + self._max_delay_s
            self._is_overdue = False

    def close(self) -> None:
        """Note that no more requests come."""
        self._complete.extend(self._planner.flush())
        self._is_closed = True

    def fail(self, error: Exception) -> None:
        """End the whole `map` with an error, which `deliver` raises."""
        self._error = self._error or error

    def finish(self, finished: Finished) -> None:
        """Take in the end of a message."""
        try:
            self._window.finish(finished)
        except Exception as error:
            self.fail(error)

    def deliver(self) -> Sequence[Outcome]:
        """Return the next outcomes, once; empty if they are not there yet.

        Raises
        ------
        Exception
            The error that ended the `map`.
        """
        if self._error is not None:
            raise self._error
        return self._window.deliver()

    def take_ready(self) -> list[Ready]:
        """Return the batches that must be sent now, in order."""
        ready: list[Ready] = []
        if self._error is not None or not (self._complete or self._is_overdue):
            return ready
        # An overdue batch takes more requests until the window admits it.
        waits = self._is_overdue and not self._complete
        if waits and self._window.admits(self._planner.n_bytes):
            self._complete.extend(self._planner.flush())
            self._is_overdue = False
        while self._complete:
            batch = self._complete[0]
            n_bytes = sum([item.n_bytes for item in batch])
            if not self._window.admits(n_bytes):
                break
            self._complete.popleft()
            ready.append(Ready(self._window.start(n_bytes), batch))
        return ready

    @property
    def has_delivery(self) -> bool:
        """Whether `deliver` would return outcomes, or raise."""
        return self._error is not None or self._window.has_delivery

    @property
    def is_full(self) -> bool:
        """Whether the reader must wait; false after an error, which ends its work."""
        return bool(self._complete) and self._error is None

    @property
    def is_done(self) -> bool:
        """Whether every request was delivered, and no more come."""
        return self._is_closed and not self._complete and self._window.is_empty

    def seconds_left(self) -> float | None:
        """Return how long the incomplete batch may still wait; None if none does."""
        if not len(self._planner) or self._is_overdue or self._error is not None:
            return None
        return max(0.0, self._due_at - self._clock())

    def check_delay(self) -> None:
        """Make the incomplete batch ready if it has waited long enough."""
        if self.seconds_left() == 0.0:
            self._is_overdue = True
