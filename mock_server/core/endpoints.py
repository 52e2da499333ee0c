"""The ports of a server: opened, closed and restarted together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from ipaddress import ip_address
from types import MappingProxyType
from typing import Protocol

from mock_server.scheduling.threads import join_threads

logger = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether an address or name is one of this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def in_url(host: str) -> str:
    """Return an address as URLs have it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


class Endpoint(Protocol):
    """An open port; it listens from construction to `close`."""

    url: str
    port: int

    def close(self) -> None:
        """Cancel the requests in flight, stop listening, end its threads."""


Opener = Callable[[int], Endpoint]
"""Listens on a port, 0 for a free one; raises OSError if it cannot."""


class Endpoints:
    """All ports of one server; may be used from any thread.

    Parameters
    ----------
    openers : mapping of str to (Opener, int)
        By protocol, in the order of opening: its opener and port number. 0 takes a free
        port at each start.
    """

    def __init__(self, openers: Mapping[str, tuple[Opener, int]]) -> None:
        self._openers = {name: opener for name, (opener, _) in openers.items()}
        self._ports = {name: port for name, (_, port) in openers.items()}
        self._lock = threading.RLock()
        self._open = ExitStack()
        self._urls: dict[str, str] = {}
        self._bound: dict[str, int] = {}
        self._stop = threading.Event()
        self._restarting: threading.Thread | None = None

    @property
    def urls(self) -> Mapping[str, str]:
        """Addresses by protocol; empty when stopped, unchanged by a restart."""
        return MappingProxyType(self._urls)

    def start(self) -> None:
        """Open all ports, or none.

        Raises
        ------
        OSError
            If one cannot be listened on.
        """
        with self._lock:
            self._stop = threading.Event()
            self._bound = dict(self._ports)
            self._listen()

    def stop(self) -> None:
        """Close all ports, and wait for what is running, for a bounded time."""
        self._stop.set()
        with self._lock:
            restarting = self._restarting
        if restarting is not None:
            join_threads([restarting])
        with self._lock:
            self._urls = {}
            self._open.close()

    def restart(self, down_s: float) -> None:
        """Close all ports at once, and open them at the same numbers after `down_s`.

        Returns without waiting, because a request may call it. Does nothing while the
        ports are closed, or restarting already.
        """
        with self._lock:
            if not self._urls or self._restarting is not None:
                return
            self._restarting = threading.Thread(
                target=self._close_and_reopen,
                args=(down_s,),
                name="mock-server-restart",
                daemon=True,
            )
            self._restarting.start()

    def _close_and_reopen(self, down_s: float) -> None:
        try:
            self._open.close()
            if not self._stop.wait(down_s):
                self._listen()
        except OSError:
            # There is no caller to raise it to: clients see a server that stays down.
            logger.exception("the server does not come back from its restart")
        finally:
            self._restarting = None

    def _listen(self) -> None:
        with ExitStack() as stack:
            urls = {}
            for name, opener in self._openers.items():
                endpoint = stack.enter_context(closing(opener(self._bound[name])))
                urls[name] = endpoint.url
                self._bound[name] = endpoint.port
            self._urls = urls
            self._open = stack.pop_all()
