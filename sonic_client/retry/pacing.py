"""How long to wait before a retry, and how many retries there may be."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sonic_client.config import RetryConfig

__all__ = ["RetryBudget", "Timing", "wait_bound_s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Clock, sleep and random numbers; tests replace them so that none waits.

    Attributes
    ----------
    clock : callable
        Returns monotonic seconds.
    sleep : callable
        Waits for a number of seconds.
    jitter : callable
        Returns a number from 0 to 1, by which a wait's upper bound is multiplied.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


def wait_bound_s(first_wait_s: float, max_wait_s: float, n_failures: int) -> float:
    """Return the upper bound of the wait after `n_failures` failures, in seconds.

    The actual wait is uniform between zero and this bound ("full jitter": M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    # The exponent is bounded because 2.0**1024 overflows.
    growth = 2.0 ** min(n_failures - 1, 1000)
    return min(max_wait_s, first_wait_s * growth)


class RetryBudget:
    """Limits the retries of all requests together, to spare a struggling server.

    A bucket of tokens: each request puts in `budget_ratio` tokens and each second
    `budget_retries_per_s`; a retry takes one. A retry that finds none is not
    refused but waits for its token, so nothing is lost: while everything fails, all
    requests together are repeated at `budget_retries_per_s`.

    Parameters
    ----------
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
        """Count a request."""
        self._fill(self._ratio)

    def take(self) -> float:
        """Take a token and return the seconds until it is there; 0 if it is now."""
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
