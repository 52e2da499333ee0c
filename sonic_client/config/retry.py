"""How often, and how patiently, a failed request is repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sonic_base.errors import ConfigError, nearest_names
from sonic_client.config.bounds import check_at_least_one, check_seconds

__all__ = ["RetryAction", "RetryConfig"]

RetryAction: TypeAlias = Literal["same_server", "other_server", "fallback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often, and how patiently, a request that failed in transit is repeated.

    After a failure the first action of `chain` that can help is taken. Which ones
    can is told by the error: a request that a server rejected is not repeated.

    Raises
    ------
    ConfigError
        If a value is out of its range. Nothing is clamped silently.
    """

    allowed_tries: int = 5
    """Tries at servers in total, the first one included (CMSSW's ``allowedTries``).
    The fallback is not counted: it comes when they are used up."""

    chain: tuple[RetryAction, ...] = ("same_server", "other_server", "fallback")
    """Ways to repeat, in the order in which they are tried. One left out is not
    used, except that the same server is when nothing else is there."""

    same_server_retries: int = 1
    """Tries again at a server before the next way, each time around the chain."""

    first_wait_s: float = 0.1
    """Upper bound of the wait before the second try, in seconds.

    Each later bound is twice as long; the wait itself is drawn between zero and
    its bound, so that many clients do not come back together. A server that was
    not yet tried is not waited for."""

    max_wait_s: float = 5.0
    """Upper bound of any single wait, in seconds."""

    try_timeout_s: float | None = None
    """Seconds for one try. Unless given, a try has half of what remains of the
    deadline while another server or the fallback could still answer, else all."""

    patience_s: float = 30.0
    """Seconds that requests wait for a server to come back when none is left and
    there is no fallback; 0 fails them at once. A longer outage fails all at once."""

    budget_ratio: float = 0.2
    """Retries per request that are always within the budget."""

    budget_retries_per_s: float = 10.0
    """Retries per second that are always within the budget; more than both must
    wait their turn."""

    budget_burst: float = 100.0
    """Retries that may be saved up, and be made at once."""

    def __post_init__(self) -> None:
        check_at_least_one(self.allowed_tries, "allowed_tries")
        if not 0.0 <= self.first_wait_s <= self.max_wait_s:
            raise ConfigError(
                "need 0 <= first_wait_s <= max_wait_s, "
                f"got {self.first_wait_s} s and {self.max_wait_s} s"
            )
        for action in self.chain:
            if action not in get_args(RetryAction):
                raise ConfigError(
                    f"unknown action {action!r} in chain, "
                    f"{nearest_names(action, get_args(RetryAction))}"
                )
        if len(set(self.chain)) < len(self.chain):
            raise ConfigError(f"an action is in chain twice: {', '.join(self.chain)}")
        for name in ("same_server_retries", "patience_s", "budget_ratio"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(
                    f"{name} must not be negative, got {getattr(self, name)}"
                )
        if self.try_timeout_s is not None:
            check_seconds(self.try_timeout_s, "try_timeout_s")
        check_seconds(self.budget_retries_per_s, "budget_retries_per_s")
        check_at_least_one(self.budget_burst, "budget_burst")
