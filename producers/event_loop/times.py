"""Where the time of a loop goes: each second counts for one activity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Activity", "LoopTimes", "Stopwatch"]

Activity: TypeAlias = Literal["read", "acquire", "wait", "produce", "write"]


class LoopTimes(NamedTuple):
    """A snapshot of where the loop's time went; its parts do not overlap."""

    events: int = 0  #: events handed out, including the failed ones
    failed_events: int = 0  #: of these, events without a product
    space_points: int = 0  #: rows of the events handed out: space points, usually
    read_s: float = 0.0  #: waiting for the reader, which reads ahead
    acquire_s: float = 0.0  #: in the producers' `prepare` and `acquire`
    wait_s: float = 0.0  #: in the clients: sending, and waiting for answers
    produce_s: float = 0.0  #: in the producers' `produce`
    write_s: float = 0.0  #: outside of the loop, while the caller has an event

    def to_dict(self) -> dict[str, float]:
        """Return the snapshot as plain values for JSON."""
        return self._asdict()


class Stopwatch:
    """Adds up seconds for the current activity.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._activity: Activity | None = None
        self._since_s = 0.0
        self.seconds: dict[Activity, float] = dict.fromkeys(
            ("read", "acquire", "wait", "produce", "write"), 0.0
        )

    def switch(self, activity: Activity | None) -> Activity | None:
        """Begin another activity, or none; return the previous one.

        Generators pull from each other: each one switches when it is pulled and
        switches back before it yields, so that no second counts twice.
        """
        now_s, before = self._clock(), self._activity
        if before is not None:
            self.seconds[before] += now_s - self._since_s
        self._activity, self._since_s = activity, now_s
        return before
