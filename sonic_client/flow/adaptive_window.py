"""The number of messages that the servers take at once, found by trying."""

from __future__ import annotations

from collections.abc import Callable

from sonic_client.config import AdaptiveConfig
from sonic_client.report.observer import Observer, TryEnded

__all__ = ["AdaptiveWindow"]

_DECREASE = 0.5


class AdaptiveWindow(Observer):
    """A window that grows by one per round of answers, and halves on overload.

    Additive increase, multiplicative decrease: the clients of a shared server end up
    with equal shares of its capacity.

    Parameters
    ----------
    max_requests : int
        Its first and its largest size.
    clock : callable
        Monotonic seconds.

    Notes
    -----
    One overload refuses many messages at once, and is one reason to go slower: calls
    that began before the last decrease cause no other one. From D.-M. Chiu and
    R. Jain, Computer Networks and ISDN Systems 17 (1989) 1; and RFC 5681.
    """

    def __init__(
        self,
        config: AdaptiveConfig,
        *,
        max_requests: int,
        clock: Callable[[], float],
    ) -> None:
        self._config, self._max_requests = config, max_requests
        self._min_requests = min(config.min_requests, max_requests)
        self._size = float(max_requests)
        self._clock, self._shrunk_at = clock, float("-inf")

    @property
    def max_requests(self) -> int:
        """The number of messages that may be in flight now."""
        return int(self._size)

    def try_ended(self, event: TryEnded) -> None:
        """Grow after a success, shrink after an overload."""
        slow_s = self._config.slow_call_s
        if event.is_overload or (slow_s is not None and event.duration_s > slow_s):
            self._shrink(event.duration_s)
        elif self._size < self._max_requests and event.status == "OK":
            self._size = min(self._max_requests, self._size + 1.0 / self._size)

    def _shrink(self, duration_s: float) -> None:
        now = self._clock()
        if now - duration_s > self._shrunk_at:
            self._size = max(self._min_requests, self._size * _DECREASE)
            self._shrunk_at = now
