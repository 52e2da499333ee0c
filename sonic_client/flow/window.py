"""The window: how much may be in flight, and in which order outcomes are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonic_client.batching import CheckedRequest
from sonic_client.config import WindowConfig
from sonic_client.flow.adaptive_window import AdaptiveWindow
from sonic_client.types import Outcome

__all__ = ["Finished", "Ready", "Window"]


class Ready(NamedTuple):
    """A batch that can be sent now."""

    number: int
    batch: Sequence[CheckedRequest]


class Finished(NamedTuple):
    """The end of a message: its outcomes, or an exception such as a bug."""

    number: int
    result: Sequence[Outcome] | Exception


class Window:
    """The messages of one `map`, from sending to delivery.

    A message is in flight until it is finished, and undelivered until its outcomes are
    handed out. Both are bounded, so that neither a slow server nor a slow consumer, nor
    one late answer that all others wait for, fills the memory:

    - at most `max_requests` messages and `max_bytes` bytes in flight, except that
      a single larger message may be in flight alone;
    - at most twice `max_requests` messages undelivered.

    Parameters
    ----------
    ordered : bool
        Deliver in the order of sending, or else in the order of finishing.
    adaptive : AdaptiveWindow, optional
        Says how many messages may be in flight, within the limits.

    Notes
    -----
    Not thread-safe: one thread, or one event loop, owns it.
    """

    def __init__(
        self,
        limits: WindowConfig,
        *,
        ordered: bool,
        adaptive: AdaptiveWindow | None = None,
    ) -> None:
        self._limits, self._adaptive = limits, adaptive
        self._ordered = ordered
        self._in_flight: dict[int, int] = {}
        self._bytes_in_flight = 0
        self._finished: dict[int, Sequence[Outcome]] = {}
        self._next_number = 0
        self._next_delivery = 0

    def admits(self, n_bytes: int) -> bool:
        """Whether a message of this size may be sent now."""
        n_in_flight = len(self._in_flight)
        if n_in_flight + len(self._finished) >= 2 * self._limits.max_requests:
            return False
        if not n_in_flight:
            return True
        fits = self._bytes_in_flight + n_bytes <= self._limits.max_bytes
        return fits and n_in_flight < self._max_requests

    @property
    def _max_requests(self) -> int:
        if self._adaptive is None:
            return self._limits.max_requests
        return self._adaptive.max_requests

    @property
    def has_delivery(self) -> bool:
        """Whether `deliver` would return outcomes."""
        if self._ordered:
            return self._next_delivery in self._finished
        return bool(self._finished)

    @property
    def is_empty(self) -> bool:
        """Whether everything was delivered."""
        return not self._in_flight and not self._finished

    def start(self, n_bytes: int) -> int:
        """Count a message as in flight; return its number."""
        number = self._next_number
        self._next_number += 1
        self._in_flight[number] = n_bytes
        self._bytes_in_flight += n_bytes
        return number

    def finish(self, finished: Finished) -> None:
        """Count a message as no longer in flight, and keep its outcomes.

        Raises
        ------
        Exception
            The exception that the message ended with, if any.
        """
        if isinstance(finished.result, Exception):
            raise finished.result
        self._bytes_in_flight -= self._in_flight.pop(finished.number)
        self._finished[finished.number] = finished.result

    def deliver(self) -> Sequence[Outcome]:
        """Return the outcomes of the next message, once; empty if it is in flight."""
        number = (
            self._next_delivery if self._ordered else next(iter(self._finished), -1)
        )
        if number not in self._finished:
            return ()
        self._next_delivery += 1
        return self._finished.pop(number)
