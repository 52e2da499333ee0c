"""How a server did lately: a sliding window of its calls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from sonic_client.config import HealthConfig

__all__ = ["Health", "HealthWindow"]

# Weight of the latest call in the mean latency: the last ten or so matter.
_LATEST_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of how a server did lately.

    Attributes
    ----------
    calls : int
        Calls in the window.
    error_rate : float
        Share of them that failed; 0 if there are none.
    failures_in_a_row : int
        Latest calls that failed, back to the last one that did not.
    latency_s : float
        Exponentially weighted mean of successful calls, in seconds; 0 if there
        was none.
    """

    calls: int = 0
    error_rate: float = 0.0
    failures_in_a_row: int = 0
    latency_s: float = 0.0


class _Call(NamedTuple):
    ended_at: float
    failed: bool


class HealthWindow:
    """Calls of the last minute or so; an hour-old outage bans no server.

    Parameters
    ----------
    config : HealthConfig
    """

    def __init__(self, config: HealthConfig) -> None:
        self._window_s = config.window_s
        self._max_calls = config.window_calls
        self._calls: deque[_Call] = deque()
        self._n_failed = self._in_a_row = 0
        self._latency_s = 0.0

    def succeeded(self, latency_s: float, *, now: float) -> None:
        """Note a call that was answered, in so many seconds."""
        self._append(_Call(now, failed=False))
        self._in_a_row = 0
        known = self._latency_s or latency_s
        self._latency_s = known + _LATEST_WEIGHT * (latency_s - known)

    def failed(self, *, now: float) -> None:
        """Note a call that failed by the server's fault."""
        self._append(_Call(now, failed=True))
        self._in_a_row += 1

    def forget(self) -> None:
        """Start anew, for a server that came back; its latency is still a guess."""
        self._calls.clear()
        self._n_failed = self._in_a_row = 0

    def at(self, now: float) -> Health:
        """Return the snapshot; calls that are too old no longer count."""
        while self._calls and self._calls[0].ended_at < now - self._window_s:
            self._n_failed -= self._calls.popleft().failed
        n_calls = len(self._calls)
        return Health(
            calls=n_calls,
            error_rate=self._n_failed / n_calls if n_calls else 0.0,
            failures_in_a_row=min(self._in_a_row, self._n_failed),
            latency_s=self._latency_s,
        )

    def _append(self, call: _Call) -> None:
        if len(self._calls) == self._max_calls:
            self._n_failed -= self._calls.popleft().failed
        self._calls.append(call)
        self._n_failed += call.failed
