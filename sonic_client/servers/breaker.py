"""The circuit breaker of one server: when it is not to be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from sonic_client.config import HealthConfig
from sonic_client.retry.backoff import wait_bound_s
from sonic_client.servers.health import Health

__all__ = ["Breaker", "BreakerState"]

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed lets requests through, open none, half-open one at a time.

    It is open from the beginning, with a probe due at once: no server is trusted
    before it answered. A probe that succeeds makes it half-open; the one request
    that may then pass decides between closed and open.

    Parameters
    ----------
    config : HealthConfig
    jitter : callable
        A number from 0 to 1, so that many clients do not probe together.

    Attributes
    ----------
    state : str

    Notes
    -----
    M. Nygard, "Release It!", chapter "Stability Patterns"; states as in there.
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
        """Note that the trial ended without a word about the server."""
        self._has_trial = False

    def succeed(self, *, is_trial: bool) -> bool:
        """Note a success; return whether this closed the breaker."""
        if not (is_trial and self.state == "half_open"):
            return False
        self.close()
        return True

    def fail(self, health: Health, *, now: float, is_trial: bool) -> bool:
        """Note a failure, and how the server did lately; return whether it opens."""
        config = self._config
        if self.state == "closed":
            is_out = health.failures_in_a_row >= config.open_after_failures or (
                health.calls >= config.min_calls
                and health.error_rate > config.open_above_error_rate
            )
        else:  # an older request says nothing new
            is_out = is_trial and self.state == "half_open"
        if is_out:
            self.open(now=now)
        return is_out

    def close(self) -> None:
        """Let requests pass."""
        self.state, self._n_pauses, self._has_trial = "closed", 0, False

    def half_open(self) -> None:
        """Let one request pass: a probe succeeded."""
        self.state, self._has_trial = "half_open", False

    def open(self, *, now: float) -> None:
        """Let no request pass; each time in a row, for longer."""
        self._n_pauses += 1
        bound_s = wait_bound_s(
            self._config.first_pause_s, self._config.max_pause_s, self._n_pauses
        )
        # Not full jitter: a server that is out needs some time in any case.
        self.pause(now + bound_s * (0.5 + 0.5 * self._jitter()))

    def pause(self, until: float) -> None:
        """Let no request pass; the next probe is due at this time."""
        self.state, self._has_trial, self._probe_at = "open", False, until

    def probe_wait_s(self, now: float) -> float:
        """Return the seconds until the next probe is due."""
        return max(0.0, self._probe_at - now)
