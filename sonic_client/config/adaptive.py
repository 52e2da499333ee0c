"""What the client adapts to its servers, if it is asked to."""

from __future__ import annotations

from dataclasses import dataclass

from sonic_base.errors import ConfigError
from sonic_client.config.bounds import check_at_least_one, check_seconds

__all__ = ["AdaptiveConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveConfig:
    """What the client adapts to its servers; nothing by default.

    Raises
    ------
    ConfigError
        If a bound is out of its range.
    """

    window: bool = False
    """Fit the number of messages in flight to what the servers take, between
    `min_requests` and the window's `max_requests`."""

    min_requests: int = 1
    """Messages in flight at least."""

    slow_call_s: float | None = None
    """Calls that take longer, in seconds, count as overload; None: only refusals."""

    timeout: bool = False
    """Give up a try after `timeout_factor` times the 99th percentile of the calls
    before, and try elsewhere."""

    timeout_factor: float = 4.0
    """Multiple of the 99th percentile that a try may take."""

    min_timeout_s: float = 1.0
    """Seconds that a try is given at least."""

    max_timeout_s: float = 60.0
    """Seconds that a try is given at most."""

    def __post_init__(self) -> None:
        check_at_least_one(self.min_requests, "min_requests")
        if self.slow_call_s is not None:
            check_seconds(self.slow_call_s, "slow_call_s")
        if not 1.0 <= self.timeout_factor < float("inf"):
            raise ConfigError(
                f"timeout_factor must be at least 1, got {self.timeout_factor}"
            )
        if not 0.0 < self.min_timeout_s <= self.max_timeout_s < float("inf"):
            raise ConfigError(
                "need 0 < min_timeout_s <= max_timeout_s, "
                f"got {self.min_timeout_s} s and {self.max_timeout_s} s"
            )
