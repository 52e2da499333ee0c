"""Compression of requests, measured."""

from __future__ import annotations

import time
import zlib

from sonic_client.config import Compression
from sonic_client.transport.base import CompressionReport

__all__ = ["CompressionMeter", "compressed"]

# Of gRPC's compression nothing is to be seen: so one message in so many is compressed
# a second time, to measure it. The first is one of them.
_SAMPLED = 64

_WINDOW_BITS = {"gzip": 31, "deflate": 15}


def compressed(content: bytes, compression: Compression) -> bytes:
    """Return the content compressed as gRPC and HTTP have it; as it is for ``none``."""
    if compression == "none":
        return content
    squeeze = zlib.compressobj(wbits=_WINDOW_BITS[compression])
    return squeeze.compress(content) + squeeze.flush()


class CompressionMeter:
    """Measures the compression of one connection's requests.

    Parameters
    ----------
    compression : str

    Attributes
    ----------
    report : CompressionReport
    """

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._n_sent = 0
        self.report = CompressionReport()

    def compress(self, content: bytes) -> bytes:
        """Return the content compressed, and count it."""
        if self._compression == "none":
            return content
        started = time.perf_counter()
        squeezed = compressed(content, self._compression)
        self.report += CompressionReport(
            n_messages=1,
            plain_bytes=len(content),
            wire_bytes=len(squeezed),
            spent_s=time.perf_counter() - started,
        )
        return squeezed

    def sample(self, content: bytes) -> None:
        """Count one in some messages that another one compresses."""
        if self._compression == "none":
            return
        if self._n_sent % _SAMPLED == 0:
            self.compress(content)
        self._n_sent += 1
