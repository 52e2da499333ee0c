"""How much may be on its way at once."""

from __future__ import annotations

from dataclasses import dataclass

from sonic_client.config.bounds import check_at_least_one

__all__ = ["WindowConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """How much may be on its way to the servers at once.

    Raises
    ------
    ConfigError
        If a bound is below one.
    """

    max_requests: int = 16
    """Messages in flight. As many finished ones may wait to be delivered."""

    max_bytes: int = 256 * 2**20
    """Bytes of input in flight. A single larger message passes alone."""

    def __post_init__(self) -> None:
        check_at_least_one(self.max_requests, "max_requests")
        check_at_least_one(self.max_bytes, "max_bytes")
