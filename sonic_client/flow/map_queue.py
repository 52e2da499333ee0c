"""The requests of one `map` on their way into messages, and their outcomes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from sonic_client.batching import BatchPlanner, CheckedRequest
from sonic_client.types import Outcome
from sonic_client.flow.window import Departure, Landing, Window

__all__ = ["Conveyor"]


class Conveyor:
    """Plans what departs when: pure bookkeeping between reader, wire and consumer.

    After every change, `departures` says what is to be sent. The reader must stop
    while `has_room` is false, so that memory is bounded by the window.

    Parameters
    ----------
    planner : BatchPlanner
        Its own, empty.
    window : Window
        Its own, empty.
    max_delay_s : float
        Seconds after which a batch leaves though it is not full.
    clock : callable
        Monotonic seconds.

    Notes
    -----
    Not thread-safe: who shares it between threads holds a lock.
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
        self._is_overdue = self._is_finished = False
        self._error: Exception | None = None

    def put(self, item: CheckedRequest) -> None:
        """Take the reader's next request."""
        self._complete.extend(self._planner.add(item))
        if len(self._planner) == 1:  # the first of a new batch
            self._due_at = self._clock() + self._max_delay_s
            self._is_overdue = False

    def finish(self) -> None:
        """Note that no more requests come."""
        self._complete.extend(self._planner.flush())
        self._is_finished = True

    def fail(self, error: Exception) -> None:
        """Note what ends the whole `map`; `deliver` raises it."""
        self._error = self._error or error

    def land(self, landing: Landing) -> None:
        """Note how a message ended."""
        try:
            self._window.land(landing)
        except Exception as error:
            self.fail(error)

    def deliver(self) -> Sequence[Outcome]:
        """Return the outcomes that are next, once; empty if they are not there.

        Raises
        ------
        Exception
            What the `map` failed with.
        """
        if self._error is not None:
            raise self._error
        return self._window.deliver()

    def departures(self) -> list[Departure]:
        """Return the batches that are to be sent now, in order."""
        departures: list[Departure] = []
        if self._error is not None or not (self._complete or self._is_overdue):
            return departures
        # An overdue batch stays open for company until there is room for it.
        waits = self._is_overdue and not self._complete
        if waits and self._window.has_room(self._planner.n_bytes):
            self._complete.extend(self._planner.flush())
            self._is_overdue = False
        while self._complete:
            batch = self._complete[0]
            n_bytes = sum([item.n_bytes for item in batch])
            if not self._window.has_room(n_bytes):
                break
            self._complete.popleft()
            departures.append(Departure(self._window.take_off(n_bytes), batch))
        return departures

    @property
    def has_delivery(self) -> bool:
        """Whether `deliver` has something to say, an error be it."""
        return self._error is not None or self._window.has_delivery

    @property
    def has_room(self) -> bool:
        """Whether the reader may go on, or has to hear of an error."""
        return not self._complete or self._error is not None

    @property
    def is_done(self) -> bool:
        """Whether every request was delivered, and no more come."""
        return self._is_finished and not self._complete and self._window.is_empty

    def seconds_left(self) -> float | None:
        """Return how long the open batch may still wait; None if none does."""
        if not len(self._planner) or self._is_overdue or self._error is not None:
            return None
        return max(0.0, self._due_at - self._clock())

    def check_delay(self) -> None:
        """Let the open batch go, if it has waited long enough."""
        if self.seconds_left() == 0.0:
            self._is_overdue = True
