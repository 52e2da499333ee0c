"""What compressing requests saves, and what it costs."""

from __future__ import annotations

import logging
import time
import zlib
from dataclasses import dataclass

from sonic_client.config import Compression

__all__ = ["CompressionMeter", "CompressionReport", "compressed"]

logger = logging.getLogger(__name__)

# Of gRPC's compression nothing is to be seen: so one message in so many is compressed
# a second time, to measure it. The first is one of them.
_SAMPLED = 64

_WINDOW_BITS = {"gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionReport:
    """What was measured so far.

    Attributes
    ----------
    n_messages : int
        Messages measured.
    plain_bytes, wire_bytes : int
        Their size before and after.
    spent_s : float
        Seconds of compressing them.
    """

    n_messages: int = 0
    plain_bytes: int = 0
    wire_bytes: int = 0
    spent_s: float = 0.0

    @property
    def saved_fraction(self) -> float:
        """Part of the bytes that need not travel; negative if they grew."""
        return 1.0 - self.wire_bytes / self.plain_bytes if self.plain_bytes else 0.0

    def __str__(self) -> str:
        rate = self.plain_bytes / self.spent_s * 1e-6 if self.spent_s else 0.0
        return (
            f"{self.n_messages} requests measured: {self.plain_bytes} bytes became "
            f"{self.wire_bytes} ({self.saved_fraction:.0%} saved) "
            f"in {self.spent_s:.3f} s ({rate:.0f} MB/s)"
        )


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
    server : str
        For the log.
    """

    def __init__(self, compression: Compression, *, server: str) -> None:
        self._compression = compression
        self._server = server
        self._n_sent = 0
        self.report = CompressionReport()

    def compress(self, content: bytes) -> bytes:
        """Return the content compressed, and count it."""
        if self._compression == "none":
            return content
        started = time.perf_counter()
        squeezed = compressed(content, self._compression)
        so_far = self.report
        self.report = CompressionReport(
            n_messages=so_far.n_messages + 1,
            plain_bytes=so_far.plain_bytes + len(content),
            wire_bytes=so_far.wire_bytes + len(squeezed),
            spent_s=so_far.spent_s + time.perf_counter() - started,
        )
        return squeezed

    def sample(self, content: bytes) -> None:
        """Count one in some messages that another one compresses."""
        if self._compression == "none":
            return
        if self._n_sent % _SAMPLED == 0:
            self.compress(content)
        self._n_sent += 1

    def log(self) -> None:
        """Say what it brought, if anything was sent."""
        if self.report.n_messages:
            logger.info(
                "compression %s to %s: %s", self._compression, self._server, self.report
            )
