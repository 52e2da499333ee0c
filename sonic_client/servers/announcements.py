"""What the client thinks of its servers, told once per change."""

from __future__ import annotations

import logging

from sonic_client.report.observer import Observer, ServerChanged, ServerState

__all__ = ["Announcements"]

logger = logging.getLogger(__name__)

_LEVELS: dict[ServerState, int] = {
    "healthy": logging.INFO,
    "half_open": logging.INFO,
    "degraded": logging.WARNING,
    "saturated": logging.WARNING,
    "open": logging.WARNING,
    "fallback": logging.WARNING,
}


class Announcements:
    """Tells the observer and the log of a server's state when it changes.

    Parameters
    ----------
    observer : Observer
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._states: dict[str, ServerState] = {}

    def tell(self, server: str, state: ServerState, reason: str) -> None:
        """Tell of a state; of the same one as before, or of a first good one, not."""
        before = self._states.get(server, "healthy")
        self._states[server] = state
        if state != before:
            logger.log(_LEVELS[state], "server %s is %s: %s", server, state, reason)
            self._observer.server_changed(
                ServerChanged(server=server, state=state, reason=reason)
            )

    def end_outage(self) -> None:
        """Note that a server is back: the next use of the fallback is news."""
        self._states = {
            name: state for name, state in self._states.items() if state != "fallback"
        }
