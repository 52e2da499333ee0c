"""When a server counts as out of order, and when it is asked again."""

from __future__ import annotations

from dataclasses import dataclass

from sonic_base.errors import ConfigError
from sonic_client.config.bounds import check_at_least_one, check_seconds

__all__ = ["HealthConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """When a server counts as out of order, and when it is asked again.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    window_s: float = 60.0
    """Seconds that a call counts. An older failure is forgiven."""

    window_calls: int = 100
    """Calls that count at most: the latest ones."""

    open_after_failures: int = 3
    """Failures in a row after which a server is no longer asked."""

    open_above_error_rate: float = 0.5
    """Share of failed calls in the window, above which it is no longer asked."""

    min_calls: int = 10
    """Calls in the window that the share needs to mean anything."""

    first_pause_s: float = 1.0
    """Seconds until it is probed; twice as long after each probe that fails."""

    max_pause_s: float = 30.0
    """Seconds between two probes at most."""

    probe_timeout_s: float = 5.0
    """Seconds that a probe waits for an answer."""

    def __post_init__(self) -> None:
        for name in ("window_calls", "open_after_failures", "min_calls"):
            check_at_least_one(getattr(self, name), name)
        for name in ("window_s", "max_pause_s", "probe_timeout_s"):
            check_seconds(getattr(self, name), name)
        if not 0.0 <= self.first_pause_s <= self.max_pause_s:
            raise ConfigError(
                "need 0 <= first_pause_s <= max_pause_s, "
                f"got {self.first_pause_s} s and {self.max_pause_s} s"
            )
        if not 0.0 < self.open_above_error_rate <= 1.0:
            raise ConfigError(
                "open_above_error_rate must be above 0 and at most 1, "
                f"got {self.open_above_error_rate}"
            )
