"""How much may be in flight, and in which order it is delivered: pure bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonic_client.adaptive import AdaptiveWindow
from sonic_client.batching import CheckedRequest
from sonic_client.config import WindowConfig
from sonic_client.types import Outcome

__all__ = ["Departure", "Landing", "Window"]


class Departure(NamedTuple):
    """A batch that is to be sent now."""

    ticket: int
    batch: Sequence[CheckedRequest]


class Landing(NamedTuple):
    """How a message ended: with its outcomes, or with what is not about them."""

    ticket: int
    result: Sequence[Outcome] | Exception


class Window:
    """The messages of one `map`, from take-off to delivery.

    A message is in flight until it lands, and undelivered until its outcomes are
    handed out. Both are bounded, so that neither a slow server nor a slow
    consumer, nor one late answer that all others wait behind, fills the memory:

    - at most `max_requests` messages and `max_bytes` bytes in flight, except that
      a single larger message may fly alone;
    - at most twice `max_requests` messages undelivered.

    Parameters
    ----------
    limits : WindowConfig
    ordered : bool
        Deliver in the order of take-off, or else in that of landing.
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
        self._landed: dict[int, Sequence[Outcome]] = {}
        self._next_ticket = 0
        self._next_delivery = 0

    def has_room(self, n_bytes: int) -> bool:
        """Whether a message of this size may take off."""
        n_in_flight = len(self._in_flight)
        if n_in_flight + len(self._landed) >= 2 * self._limits.max_requests:
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
        """Whether outcomes are there that are next."""
        if self._ordered:
            return self._next_delivery in self._landed
        return bool(self._landed)

    @property
    def is_empty(self) -> bool:
        """Whether everything was delivered."""
        return not self._in_flight and not self._landed

    def take_off(self, n_bytes: int) -> int:
        """Note a message in flight; return its ticket."""
        ticket = self._next_ticket
        self._next_ticket += 1
        self._in_flight[ticket] = n_bytes
        self._bytes_in_flight += n_bytes
        return ticket

    def land(self, landing: Landing) -> None:
        """Note that a message is no longer in flight, and what became of it.

        Raises
        ------
        Exception
            What the message ended with, if that is not its outcomes.
        """
        if isinstance(landing.result, Exception):
            raise landing.result
        self._bytes_in_flight -= self._in_flight.pop(landing.ticket)
        self._landed[landing.ticket] = landing.result

    def deliver(self) -> Sequence[Outcome]:
        """Return the outcomes of the message that is next, once.

        Empty if the one that is next has not landed.
        """
        ticket = self._next_delivery if self._ordered else next(iter(self._landed), -1)
        if ticket not in self._landed:
            return ()
        self._next_delivery += 1
        return self._landed.pop(ticket)
