"""How often, and how patiently, a failed request is repeated."""

from __future__ import annotations

from dataclasses import dataclass

from sonic_client.config.bounds import check_at_least_one
from sonic_client.errors import ConfigError

__all__ = ["RetryConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often, and how patiently, a request that failed in transit is repeated.

    Only transient failures are repeated; a request the server rejected is not.

    Raises
    ------
    ConfigError
        If a value is out of its range. Nothing is clamped silently.
    """

    allowed_tries: int = 5
    """Tries in total, the first one included (CMSSW's ``allowedTries``)."""

    first_wait_s: float = 0.1
    """Upper bound of the wait before the second try, in seconds.

    Each later bound is twice as long; the wait itself is drawn between zero and
    its bound, so that many clients do not come back together."""

    max_wait_s: float = 5.0
    """Upper bound of any single wait, in seconds."""

    def __post_init__(self) -> None:
        check_at_least_one(self.allowed_tries, "allowed_tries")
        if not 0.0 <= self.first_wait_s <= self.max_wait_s:
            raise ConfigError(
                "need 0 <= first_wait_s <= max_wait_s, "
                f"got {self.first_wait_s} s and {self.max_wait_s} s"
            )
