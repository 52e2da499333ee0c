"""The health of a server: verdict on a try, sliding window, circuit breaker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Literal, NamedTuple, TypeAlias

from sonic_base import SonicError
from sonic_client.config import HealthConfig
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ModelMismatchError,
    ModelNotFoundError,
    ModelNotReadyError,
    NonFiniteAnswerError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerOverloadedError,
    TlsError,
    TransientError,
    WrongPortError,
)
from sonic_client.retry.pacing import wait_bound_s

__all__ = ["Breaker", "Health", "HealthWindow", "Verdict", "verdict_on"]

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]

# Weight of the latest call in the mean latency: about the last ten calls matter.
_LATEST_WEIGHT = 0.2


class Verdict(Enum):
    """The state of a server after a try; `retry.Disposition` is about the request."""

    WORKS = "works"
    """It answered, even if it refused this request."""

    IS_FULL = "is full"
    """It is alive and has no capacity: not a failure, and no reason to leave it."""

    FAILED = "failed"
    """It failed, and may do better next time."""

    IS_OUT = "is out"
    """It fails every request, so one is enough to know."""

    UNKNOWN = "unknown"
    """The try says nothing about it."""


def verdict_on(error: SonicError | None) -> Verdict:
    """Return the verdict on a server after a try; `error` is None for an answer."""
    if error is None:  # the ordinary case
        return Verdict.WORKS
    for kinds, verdict in _VERDICTS:
        if isinstance(error, kinds):
            return verdict
    if isinstance(error, RejectedRequestError) and not error.is_everywhere:
        return Verdict.FAILED
    return Verdict.WORKS


# The first row that fits counts.
_VERDICTS: tuple[tuple[type[SonicError] | UnionType, Verdict], ...] = (
    (ServerOverloadedError, Verdict.IS_FULL),
    (
        ModelNotReadyError
        | ModelNotFoundError
        | ModelMismatchError
        | AccessDeniedError
        | TlsError
        | WrongPortError,
        Verdict.IS_OUT,
    ),
    # A proxy, or this client, may have refused it in place of the server.
    (RequestTooLargeError, Verdict.UNKNOWN),
    # The event itself is as likely a cause as the server.
    (NonFiniteAnswerError, Verdict.WORKS),
    (TransientError | InvalidAnswerError, Verdict.FAILED),
)


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of a server's recent calls.

    Attributes
    ----------
    calls : int
        Calls in the window.
    error_rate : float
        Share of them that failed; 0 if there are none.
    failures_in_a_row : int
        The latest calls that failed, back to the last success.
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
    """The calls to one server in the last `window_s` seconds.

    An outage of an hour ago counts for nothing, so that it bans no server.
    """

    def __init__(self, config: HealthConfig) -> None:
        self._window_s = config.window_s
        self._max_calls = config.window_calls
        self._calls: deque[_Call] = deque()
        self._n_failed = self._in_a_row = 0
        self._latency_s = 0.0

    def succeeded(self, latency_s: float, *, now: float) -> None:
        """Add a call that was answered after `latency_s` seconds."""
        self._append(_Call(now, failed=False))
        self._in_a_row = 0
        known = self._latency_s or latency_s
        self._latency_s = known + _LATEST_WEIGHT * (latency_s - known)

    def took_at_least(self, seconds: float) -> None:
        """Note a call that was given up after this time, with no word of its outcome.

        Its latency is unknown, but no shorter: it may only raise the mean.
        """
        if seconds > self._latency_s:
            known = self._latency_s or seconds
            self._latency_s = known + _LATEST_WEIGHT * (seconds - known)

    def failed(self, *, now: float) -> None:
        """Add a call that the server failed."""
        self._append(_Call(now, failed=True))
        self._in_a_row += 1

    def forget(self) -> None:
        """Start anew with a server that came back; keep its latency as a guess."""
        self._calls.clear()
        self._n_failed = self._in_a_row = 0

    def at(self, now: float) -> Health:
        """Return the snapshot, without the calls that are too old."""
        while self._calls and self._calls[0].ended_at < now - self._window_s:
            self._n_failed -= self._calls.popleft().failed
        n_calls = len(self._calls)
        return Health(
            calls=n_calls,
            error_rate=self._n_failed / n_calls if n_calls else 0.0,
            failures_in_a_row=min(self._in_a_row, self._n_failed),
            latency_s=self._latency_s,
        )

    @property
    def n_failed(self) -> int:
        """The number of failed calls in the window, as of the last snapshot."""
        return self._n_failed

    def _append(self, call: _Call) -> None:
        if len(self._calls) == self._max_calls:
            self._n_failed -= self._calls.popleft().failed
        self._calls.append(call)
        self._n_failed += call.failed


class Breaker:
    """The circuit breaker of one server: whether a request may be sent to it now.

    Closed, it admits all requests; open, none; half-open, one at a time. It starts
    open with a probe due at once, because no server is trusted before it answered. A
    probe that succeeds makes it half-open; the one request that may then pass, the
    *trial*, decides between closed and open.

    Parameters
    ----------
    jitter : callable
        Returns a number from 0 to 1, so that many clients do not probe together.

    Attributes
    ----------
    state : str
        ``closed``, ``open`` or ``half_open``.

    Notes
    -----
    M. Nygard, "Release It!", chapter "Stability Patterns"; the states' names are his.
    """

    def __init__(self, config: HealthConfig, jitter: Callable[[], float]) -> None:
        self._config, self._jitter = config, jitter
        self.state: BreakerState = "open"
        self._probe_at = 0.0
        self._n_pauses = 0
        self._has_trial = False

    @property
    def admits(self) -> bool:
        """Whether a request may pass now."""
        state = self.state
        return state == "closed" or (state == "half_open" and not self._has_trial)

    def let_pass(self) -> bool:
        """Let a request pass; return whether it is the trial of a half-open breaker."""
        self._has_trial = self.state == "half_open"
        return self._has_trial

    def withdraw_trial(self) -> None:
        """Let another trial pass: this one ended and said nothing about the server."""
        self._has_trial = False

    def succeed(self, *, is_trial: bool) -> bool:
        """Count a success; return whether it closed the breaker."""
        if not (is_trial and self.state == "half_open"):
            return False
        self.close()
        return True

    def fail(
        self, health: Health, *, now: float, is_trial: bool, is_repeated: bool = False
    ) -> bool:
        """Count a failure, given the recent calls; return whether the breaker opens.

        A failure of a request that failed there before is no reason for a longer pause.
        """
        config = self._config
        if self.state == "closed":
            is_out = health.failures_in_a_row >= config.open_after_failures or (
                health.calls >= config.min_calls
                and health.error_rate > config.open_above_error_rate
            )
        else:  # a request from before the outage says nothing new
            is_out = is_trial and self.state == "half_open"
        if is_out:
            self.open(now=now, is_longer=not is_repeated)
        return is_out

    def close(self) -> None:
        """Admit all requests."""
        self.state, self._n_pauses, self._has_trial = "closed", 0, False

    def half_open(self) -> None:
        """Admit one request, after a probe that succeeded."""
        self.state, self._has_trial = "half_open", False

    def open(self, *, now: float, is_longer: bool = True) -> None:
        """Admit no request; the pause is longer each time in a row."""
        self._n_pauses += is_longer or not self._n_pauses
        bound_s = wait_bound_s(
            self._config.first_pause_s, self._config.max_pause_s, self._n_pauses
        )
        # Not full jitter: a server that is out needs some time in any case.
        self.pause(now + bound_s * (0.5 + 0.5 * self._jitter()))

    def pause(self, until: float) -> None:
        """Admit no request; the next probe is due at this time."""
        self.state, self._has_trial, self._probe_at = "open", False, until

    def probe_wait_s(self, now: float) -> float:
        """Return the seconds until the next probe is due."""
        return max(0.0, self._probe_at - now)
