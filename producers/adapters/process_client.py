"""One open client per process and configuration, for code that is pickled."""

from __future__ import annotations

import atexit
import os
import pickle
import threading
from contextlib import suppress

from sonic_client import Client, ClientConfig, SonicError

__all__ = ["process_client"]

_clients: dict[bytes, Client] = {}
_lock = threading.Lock()


def process_client(config: ClientConfig) -> Client:
    """Return this process's client of a configuration, opened at the first call.

    Connections cannot be pickled, so code sent to workers calls this on the worker. The
    client is closed when the process ends. Safe to call from several threads.

    Raises
    ------
    SonicError
        If no server can be reached; the next call tries again.
    """
    # Configurations hold mappings and cannot be keys; equal ones have equal pickles.
    key = pickle.dumps(config)
    with _lock:
        if key not in _clients:
            _clients[key] = Client(config).__enter__()
        return _clients[key]


@atexit.register
def _close() -> None:
    for client in _clients.values():
        with suppress(SonicError):  # the process is ending
            client.__exit__(None, None, None)


def _forget() -> None:
    """Drop the clients in a forked process, which does not have their threads."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _clients.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
