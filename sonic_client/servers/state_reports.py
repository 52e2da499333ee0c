"""Changes of the servers' states, told to the log and to the observers."""

from __future__ import annotations

import logging

from sonic_base import SonicError
from sonic_client.report.observer import Observer, ServerChanged, ServerState
from sonic_client.servers.server import Server

__all__ = ["StateReports"]

logger = logging.getLogger(__name__)


class StateReports:
    """Reports each change of a server's state once.

    A server that is full again and again is logged once, because the window grows until
    it is.

    Warnings about servers that are left alone wait until the job has begun: if it
    cannot begin, its error has the same text.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._states: dict[str, ServerState] = {}
        self._waiting: list[tuple[object, ...]] = []
        self._said_full: set[str] = set()
        self._has_begun = False

    def begin(self, *, is_complete: bool = True) -> None:
        """Log the warnings that waited, unless an error told of all servers."""
        self._has_begun = True
        if is_complete:
            for arguments in self._waiting:
                logger.warning(*arguments)

    def works(self, server: str) -> None:
        """Report a server that answers requests."""
        if self._is_news(server, "healthy", "it answers"):
            logger.info("server %s works again", server)

    def is_back(self, server: Server) -> None:
        """Report a server whose probe succeeded after an outage."""
        if self._is_news(server.name, "half_open", "it answers"):
            logger.info("server %s answers again: it gets one request", server.name)

    def is_saturated(self, server: str, error: SonicError) -> None:
        """Report a server without capacity."""
        if not self._is_news(server, "saturated", str(error)):
            return
        if server not in self._said_full:
            self._said_full.add(server)
            logger.warning(
                "server %s is full: waiting, with a smaller window: %s",
                server,
                _brief(error),
            )

    def is_left_alone(self, server: Server, error: SonicError) -> None:
        """Report a server that gets no requests until a probe succeeds."""
        if not self._is_news(server.name, "open", str(error)):
            return
        warning = ("server %s is %s: %s", server.name, server.pause, _brief(error))
        if self._has_begun:
            logger.warning(*warning)
        else:
            self._waiting.append(warning)

    def falls_back(self, fallback: str, error: SonicError) -> None:
        """Report that the fallback answers; `ends_outage` makes it news again."""
        if self._is_news(fallback, "fallback", str(error)):
            logger.warning("%s answers in place of the servers: %s", fallback, error)

    def ends_outage(self) -> None:
        """Note that a server is back: the next use of the fallback is news."""
        self._states = {
            name: state for name, state in self._states.items() if state != "fallback"
        }

    def _is_news(self, server: str, state: ServerState, reason: str) -> bool:
        """Tell the observer of a change; a first good state is none."""
        if state == self._states.get(server, "healthy"):
            return False
        self._states[server] = state
        self._observer.server_changed(
            ServerChanged(server=server, state=state, reason=reason)
        )
        return True


def _brief(error: SonicError) -> str:
    """Return the error's text without the server's address, which stands before it."""
    server = getattr(error, "server", "")
    return str(error).removeprefix(f"server {server} ")
