"""Where time and chance come from."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["Timing"]


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
