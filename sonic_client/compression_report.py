"""What compressing a server's requests has saved, and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CompressionReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionReport:
    """What was measured so far; reports of several workers add up.

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

    def __add__(self, other: CompressionReport) -> CompressionReport:
        return CompressionReport(
            n_messages=self.n_messages + other.n_messages,
            plain_bytes=self.plain_bytes + other.plain_bytes,
            wire_bytes=self.wire_bytes + other.wire_bytes,
            spent_s=self.spent_s + other.spent_s,
        )

    def __str__(self) -> str:
        rate = self.plain_bytes / self.spent_s * 1e-6 if self.spent_s else 0.0
        return (
            f"{self.n_messages} requests measured: {self.plain_bytes} bytes became "
            f"{self.wire_bytes} ({self.saved_fraction:.0%} saved) "
            f"in {self.spent_s:.3f} s ({rate:.0f} MB/s)"
        )
