"""How many retries there may be, whatever fails: no storm on a struggling server."""

from __future__ import annotations

from collections.abc import Callable

from sonic_client.config import RetryConfig

__all__ = ["RetryBudget"]


class RetryBudget:
    """A bucket of tokens: requests put in, retries take out.

    Each request puts in `budget_ratio` tokens and each second
    `budget_retries_per_s`; a retry takes one. A retry that finds none is not
    refused but waits for its token, so nothing is lost: under lasting failure all
    requests together are repeated at `budget_retries_per_s`.

    Parameters
    ----------
    config : RetryConfig
    clock : callable
        Monotonic seconds.

    Notes
    -----
    Finagle's ``RetryBudget`` (twitter/finagle, ``finagle-core``), with its deposits
    by request and by time; gRPC's ``retryThrottling`` (gRFC A6) deposits by success
    alone. Both refuse a retry without a token; here it waits.
    """

    def __init__(self, config: RetryConfig, clock: Callable[[], float]) -> None:
        self._ratio = config.budget_ratio
        self._per_s = config.budget_retries_per_s
        self._capacity = config.budget_burst
        self._clock = clock
        self._tokens = self._capacity
        self._filled_at = clock()

    def deposit(self) -> None:
        """Note a request."""
        self._fill(self._ratio)

    def take(self) -> float:
        """Take a token, one not there yet if need be; return the seconds until then."""
        self._fill(0.0)
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._per_s)

    def give_back(self) -> None:
        """Put back the token of a retry that did not happen."""
        self._fill(1.0)

    def _fill(self, extra: float) -> None:
        now = self._clock()
        grown = self._tokens + extra + self._per_s * (now - self._filled_at)
        self._tokens, self._filled_at = min(self._capacity, grown), now
