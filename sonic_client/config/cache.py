"""Whether answers are kept for requests that come again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sonic_base.errors import ConfigError

__all__ = ["CacheConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Whether answers are kept for requests that come again; off by default.

    For repeated passes over the same events with the same model, as for systematic
    variations of what comes after it.

    Raises
    ------
    ConfigError
        If the size is negative.
    """

    max_bytes: int = 0
    """Bytes of answers kept in memory, the oldest going first; 0 keeps none."""

    folder: Path | None = None
    """Also keep them there, across jobs. Several jobs may share it; nothing is ever
    removed from it."""

    def __post_init__(self) -> None:
        if self.max_bytes < 0:
            raise ConfigError(f"max_bytes must not be negative, got {self.max_bytes}")

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self.max_bytes > 0 or self.folder is not None
