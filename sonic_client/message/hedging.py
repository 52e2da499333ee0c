"""When a request goes to a second server, and how many do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from sonic_base import SonicError
from sonic_client.config import HedgeConfig
from sonic_client.message.latencies import RecentLatencies

__all__ = ["HedgePolicy", "race"]

ResultT = TypeVar("ResultT")
Call: TypeAlias = Callable[[], Awaitable[ResultT]]

# A 95th percentile means little before.
_NEEDED = 20
# Requests that take about as long as the quantile are not worth a second call.
_MARGIN = 1.2
# Where the quantile lies between usual and slow calls, chance must not put it among the
# slow ones: nothing would be hedged, and all slow calls would be seen to the end.
_N_SIGMA = 2.0
# Hedges in a row after a time without any: the load of a server that becomes slow does
# not all go to the others at once.
_BURST = 20.0


class HedgePolicy:
    """Says after how long a request is hedged, within a budget for all requests.

    A bucket of tokens: each request puts in `max_extra` of one, a hedge takes one. It
    starts empty, so at any time there were at most `max_extra` hedges a request.

    Notes
    -----
    J. Dean and L. A. Barroso, "The Tail at Scale", Comm. ACM 56 (2013) 74: "hedged
    requests", sent after the 95th percentile of the expected latency.
    """

    def __init__(self, config: HedgeConfig) -> None:
        self._max_extra = config.max_extra
        self._latencies = RecentLatencies(
            config.quantile, needed=_NEEDED, n_sigma=_N_SIGMA
        )
        self._tokens = 0.0

    def deposit(self) -> None:
        """Count a request."""
        self._tokens = min(_BURST, self._tokens + self._max_extra)

    def delay_s(self) -> float | None:
        """Return the seconds after which a call is slow; None if not known yet."""
        delay_s = _MARGIN * self._latencies.value_s
        return None if math.isinf(delay_s) else delay_s

    @property
    def may_hedge(self) -> bool:
        """Whether the budget allows a hedge now."""
        return self._tokens >= 1.0

    def take(self) -> None:
        """Count a hedge."""
        self._tokens -= 1.0

    def note(self, seconds: float, *, is_answered: bool) -> None:
        """Learn from a first call: it was answered, or given up after this time."""
        self._latencies.add(seconds, is_whole=is_answered)


async def race(
    first: Call[ResultT], second: Callable[[], Call[ResultT] | None], *, delay_s: float
) -> ResultT | list[SonicError]:
    """Return the first result of one call, or of two if the first is slow.

    A call that fails while the other is in flight does not end the race. The loser is
    cancelled, and has ended when this function returns; so have both if the caller is
    cancelled.

    Parameters
    ----------
    first : callable
        The call that is made at once.
    second : callable
        Asked for another call after `delay_s`, and if it has none, again after twice
        the time, and so on.
    delay_s : float
        Seconds.

    Returns
    -------
    result, or list of SonicError
        The error of each call, the first call's first, if none succeeded.
    """
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_outcome(first))]
        running, timeout_s = set(calls), delay_s
        try:
            while running:
                ended, running = await asyncio.wait(
                    running,
                    timeout=timeout_s if len(calls) == 1 else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for call in calls:  # in a tie, the first one
                    if call in ended:
                        outcome = call.result()
                        if not isinstance(outcome, SonicError):
                            return outcome
                if not ended:
                    timeout_s *= 2.0
                    if (other := second()) is not None:
                        calls.append(group.create_task(_outcome(other)))
                        running.add(calls[-1])
        finally:
            for call in calls:
                call.cancel()
    outcomes = [call.result() for call in calls]
    return [outcome for outcome in outcomes if isinstance(outcome, SonicError)]


async def _outcome(call: Call[ResultT]) -> ResultT | SonicError:
    try:
        return await call()
    except SonicError as error:
        # The traceback would keep the tensors in memory.
        return error.with_traceback(None)
