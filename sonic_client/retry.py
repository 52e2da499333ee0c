"""Repeating what failed in transit, within one deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sonic_client.config import RetryConfig
from sonic_client.errors import (
    DeadlineExceededError,
    TransientError,
    TriesExhaustedError,
)

__all__ = ["Timing", "call_with_retry", "wait_bound_s"]

ReplyT = TypeVar("ReplyT")

# A try whose own timer rang may be back this much before the deadline.
_TIMER_SLACK_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where time and chance come from; tests replace them, so that none waits.

    Attributes
    ----------
    clock : callable
        Monotonic seconds.
    sleep : callable
        Waits for so many seconds.
    jitter : callable
        A number from 0 to 1, by which a wait's upper bound is multiplied.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


def wait_bound_s(retry: RetryConfig, n_failures: int) -> float:
    """Return the upper bound of the wait after so many failures, in seconds.

    The actual wait is uniform between zero and it ("full jitter": M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    # The exponent is bounded because 2.0**1024 overflows.
    growth = 2.0 ** min(n_failures - 1, 1000)
    return min(retry.max_wait_s, retry.first_wait_s * growth)


async def call_with_retry(
    call: Callable[[float], Awaitable[ReplyT]],
    *,
    retry: RetryConfig,
    deadline_s: float,
    timing: Timing,
) -> ReplyT:
    """Await `call` until it succeeds, is rejected, or the budget is spent.

    Parameters
    ----------
    call : callable
        One try; is given the seconds that remain and must end within them.
    deadline_s : float
        Seconds for all tries and the waits between them.

    Raises
    ------
    DeadlineExceededError
        The time is over, or would be before the next try.
    TriesExhaustedError
        Every allowed try failed in transit.

    Notes
    -----
    Only `TransientError` leads to another try; any other error passes through at
    once. Cancelling the caller cancels the try in flight and starts no other.
    """
    deadline = timing.clock() + deadline_s
    failures: list[TransientError] = []
    while True:
        try:
            return await call(deadline - timing.clock())
        except TransientError as failure:
            failures.append(failure)
        wait_s = timing.jitter() * wait_bound_s(retry, len(failures))
        now = timing.clock()
        if now + _TIMER_SLACK_S >= deadline:
            break
        if len(failures) >= retry.allowed_tries:
            raise TriesExhaustedError(failures) from failures[-1]
        if now + wait_s >= deadline:
            break
        await timing.sleep(wait_s)
    raise DeadlineExceededError(deadline_s=deadline_s, failures=failures) from failures[
        -1
    ]
