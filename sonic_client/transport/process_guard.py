"""Refuses the use of a connection in a fork of the process that opened it."""

from __future__ import annotations

import os

from sonic_client.errors import ForkedProcessError

__all__ = ["ProcessGuard"]


class ProcessGuard:
    """Remembers the process that it was made in.

    Threads, event loops and gRPC's own state do not survive a fork, so a call in the
    child would wait for an answer that nobody reads.

    Parameters
    ----------
    what : str
        What belongs to the process, named in the error.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Whether this is another process."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Raise `ForkedProcessError` in another process."""
        if self.is_forked:
            raise ForkedProcessError(what=self._what, pid=self._pid)
