"""Progress of a job: events done, rate, and time left."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sonic_client.report.observer import (
    EventsFinished,
    MessageEnded,
    MessageSent,
    Observer,
)

__all__ = ["Progress", "ProgressMeter"]

# Long enough that a batch of events does not make the rate jump, short enough
# to follow the loss of a server.
_RATE_OVER_S = 30.0


class Progress(NamedTuple):
    """A snapshot of a job's progress."""

    done: int  #: events that have their outcome, including failed ones
    failed: int  #: those of them without an answer
    in_flight: int  #: messages sent and not yet answered
    events_per_s: float  #: over the last half minute; 0 before the first outcome
    seconds_left: float | None  #: None if the total or the rate is not known


class ProgressMeter(Observer):
    """Measures progress for a display, which reads it at any time, from any thread.

    Parameters
    ----------
    total : int, optional
        Events of the job.
    clock : callable
        Returns monotonic seconds.
    """

    def __init__(
        self,
        total: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._clock = total, clock
        self._lock = threading.Lock()
        self._done = self._failed = self._in_flight = 0
        # Pairs of time and events done by then, the oldest first.
        self._history = deque([(clock(), 0)])

    def message_sent(self, event: MessageSent) -> None:
        """Count a message as in flight."""
        with self._lock:
            self._in_flight += 1

    def message_ended(self, event: MessageEnded) -> None:
        """Count a message as not in flight."""
        with self._lock:
            self._in_flight -= 1

    def events_finished(self, event: EventsFinished) -> None:
        """Count events."""
        with self._lock:
            self._done += event.events
            self._failed += event.failed_events
            now = self._clock()
            self._history.append((now, self._done))
            while len(self._history) > 2 and self._history[1][0] < now - _RATE_OVER_S:
                self._history.popleft()

    def progress(self) -> Progress:
        """Return the progress so far."""
        with self._lock:
            since, done_then = self._history[0]
            elapsed_s = self._clock() - since
            rate = (self._done - done_then) / elapsed_s if elapsed_s > 0.0 else 0.0
            left = None
            if self._total is not None and rate > 0.0:
                left = max(0, self._total - self._done) / rate
            return Progress(self._done, self._failed, self._in_flight, rate, left)
