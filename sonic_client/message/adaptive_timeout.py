"""How long a try may take, given the durations of earlier calls."""

from __future__ import annotations

import math

from sonic_client.config import AdaptiveConfig
from sonic_client.message.latencies import RecentLatencies
from sonic_client.report.observer import Observer, TryEnded

__all__ = ["AdaptiveTimeout"]


class AdaptiveTimeout(Observer):
    """A multiple of the 99th percentile of recent calls' durations, within bounds.

    Notes
    -----
    A try that was given up says only that it would have taken longer. So each doubles
    the time until a call succeeds (P. Karn and C. Partridge, SIGCOMM 1987), and servers
    that all became slower are not given up for ever.
    """

    def __init__(self, config: AdaptiveConfig) -> None:
        self._config = config
        self._latencies = RecentLatencies(0.99, needed=100)
        self._patience = 1.0

    def seconds(self) -> float | None:
        """Return how long a try may take; None before there were enough calls."""
        p99_s = self._latencies.value_s
        if math.isinf(p99_s):
            return None
        wanted_s = self._config.timeout_factor * p99_s
        bounded_s = max(self._config.min_timeout_s, wanted_s) * self._patience
        return min(bounded_s, self._config.max_timeout_s)

    def try_ended(self, event: TryEnded) -> None:
        """Learn from a call that succeeded, or was given up."""
        if event.status == "DEADLINE_EXCEEDED":
            # Bounded, because 2.0**1024 overflows.
            self._patience = min(2.0 * self._patience, 1e6)
        if event.status != "OK":
            return
        self._patience = 1.0
        self._latencies.add(event.duration_s)
