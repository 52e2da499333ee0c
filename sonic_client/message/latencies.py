"""A quantile of the latencies of recent calls."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["RecentLatencies"]

# Enough calls for a 99th percentile, and few enough to follow the servers.
_REMEMBERED = 1000
_CALLS_BETWEEN_UPDATES = 20


class RecentLatencies:
    """A quantile of the latencies of the latest 1000 calls.

    Parameters
    ----------
    quantile : float
        Between 0 and 1.
    needed : int
        Calls before there is a quantile.
    n_sigma : float
        Standard deviations by which the rank in the sample is lowered. By chance, a
        sample may hold more slow calls than their share of all calls is.

    Notes
    -----
    A call that was given up is known to have taken at least its time ("censored"). It
    keeps its place in the order, so that calls which are given up because they are slow
    do not make the others look slow. But its time is nobody's latency: where the
    quantile falls on one, it is the longest latency below it. With the times themselves
    the quantile would rise with each call that it ended. One that was given up before
    the quantile says nothing.
    """

    def __init__(self, quantile: float, *, needed: int, n_sigma: float = 0.0) -> None:
        self._quantile, self._needed = quantile, needed
        # Of the number of calls below the quantile, for a sample of one.
        self._lowered = n_sigma * math.sqrt(quantile * (1.0 - quantile))
        # Latencies, and whether each is one: not if the call was given up.
        self._calls: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)
        self._value_s = math.inf
        self._n_since_update = _CALLS_BETWEEN_UPDATES

    @property
    def value_s(self) -> float:
        """The quantile in seconds; inf before there were enough calls."""
        return self._value_s

    def add(self, seconds: float, *, is_whole: bool = True) -> None:
        """Add a call; `is_whole` says that it was answered."""
        if not is_whole and seconds < self._value_s:
            return
        self._calls.append((seconds, is_whole))
        self._n_since_update += 1
        n_seen = len(self._calls)
        if n_seen < self._needed or self._n_since_update < _CALLS_BETWEEN_UPDATES:
            return
        self._n_since_update = 0
        rank = math.ceil(self._quantile * n_seen - self._lowered * math.sqrt(n_seen))
        lowest = sorted(self._calls)[: max(1, rank)]
        answered = (taken_s for taken_s, is_whole in reversed(lowest) if is_whole)
        self._value_s = next(answered, math.inf)
