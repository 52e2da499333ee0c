"""The memory of the requests that wait or run."""

from __future__ import annotations

import threading

import grpc

from mock_server.errors import ModelError


class HeldBytes:
    """Counts the bytes of the requests that a server holds, up to a limit.

    Parameters
    ----------
    limit_bytes : int
        A request beyond it is refused, unless it is the only one.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Count more bytes, until they are given to `remove`.

        Raises
        ------
        ModelError
            UNAVAILABLE if there is no room for them; they are not counted then.
        """
        with self._lock:
            if self._n_bytes and self._n_bytes + n_bytes > self._limit_bytes:
                raise ModelError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"the requests that wait or run have {self._n_bytes} bytes, and "
                    f"the limit is {self._limit_bytes}: try again later",
                )
            self._n_bytes += n_bytes

    def remove(self, n_bytes: int) -> None:
        """Count these bytes no more."""
        with self._lock:
            self._n_bytes -= n_bytes
