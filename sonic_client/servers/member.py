"""One server of a pool: its connection, and what the client thinks of it."""

from __future__ import annotations

from sonic_base.errors import SonicError
from sonic_client.config import HealthConfig, RetryConfig, ServerConfig
from sonic_client.errors import (
    InvalidAnswerError,
    ModelNotFoundError,
    ModelNotReadyError,
    ServerOverloadedError,
    TransientError,
)
from sonic_client.retry.backoff import wait_bound_s
from sonic_client.retry.timing import Timing
from sonic_client.servers.breaker import Breaker
from sonic_client.servers.choice import Candidate
from sonic_client.servers.health import HealthWindow
from sonic_client.transport.base import ServerCounters, Transport
from sonic_client.types import ModelMetadata

__all__ = ["Member"]


class Member:
    """One server of a pool.

    Attributes
    ----------
    config : ServerConfig
    name : str
        What it is called.
    transport : Transport
    breaker : Breaker
    metadata : ModelMetadata or None
        What it said about the model; None until it was admitted.
    last_error : Exception or None
        What is wrong with it, or was last.
    first_counters : ServerCounters or None
        Its counters when it was admitted.
    is_awake : bool
        Whether it was ever asked.
    is_open : bool
        Whether its transport is.
    is_asked_again : bool
        Whether it is being asked whether it has the model after all.
    """

    def __init__(
        self,
        config: ServerConfig,
        transport: Transport,
        *,
        health: HealthConfig,
        retry: RetryConfig,
        timing: Timing,
    ) -> None:
        self.config, self.transport = config, transport
        self.name = config.name
        self.breaker = Breaker(health, timing.jitter)
        self.metadata: ModelMetadata | None = None
        self.last_error: Exception | None = None
        self.first_counters: ServerCounters | None = None
        self.is_awake = self.is_open = self.is_asked_again = False
        self._latest_version = ""
        self._window = HealthWindow(health)
        self._retry, self._timing = retry, timing
        self._in_flight = self._n_refusals = 0
        self._saturated_until, self._n_overloads = 0.0, 0

    @property
    def is_waiting(self) -> bool:
        """Whether it said that it will take requests later."""
        return isinstance(self.last_error, ModelNotReadyError | ServerOverloadedError)

    @property
    def is_hopeless(self) -> bool:
        """Whether waiting for it is in vain, as far as can be known."""
        if self.breaker.state != "open" or self.last_error is None:
            return False
        if not isinstance(self.last_error, TransientError | InvalidAnswerError):
            return not self.is_asked_again
        return self._is_never_there and not self.is_waiting

    @property
    def _is_never_there(self) -> bool:
        return self._n_refusals >= self._retry.allowed_tries and self.metadata is None

    def candidate(self) -> Candidate:
        """Return what is known of it, for a choice."""
        now = self._timing.clock()
        return Candidate(
            name=self.name,
            is_usable=self.breaker.admits,
            is_preferred=self.config.preferred,
            is_saturated=now < self._saturated_until,
            in_flight=self._in_flight,
            health=self._window.at(now),
        )

    def take(self) -> bool:
        """Note a request on its way to it; return whether it is a trial."""
        self._in_flight += 1
        return self.breaker.let_pass()

    def release(self, *, is_trial: bool) -> None:
        """Note that a request is no longer on its way to it."""
        self._in_flight -= 1
        if is_trial:
            self.breaker.withdraw_trial()

    def answered(self, latency_s: float | None, *, is_trial: bool) -> bool:
        """Note that it works; return whether this is news.

        `latency_s` is None if it answered no.
        """
        self._n_overloads = 0
        if latency_s is not None:
            self._window.succeeded(latency_s, now=self._timing.clock())
        return self.breaker.succeed(is_trial=is_trial)

    def failed(self, error: SonicError, *, is_trial: bool) -> bool:
        """Note a failure of its own; return whether it is now out of order."""
        now = self._timing.clock()
        self.last_error = error
        self._window.failed(now=now)
        return self.breaker.fail(self._window.at(now), now=now, is_trial=is_trial)

    def overloaded(self, error: SonicError) -> None:
        """Note that it has no room: it is alive, but others come first for a while."""
        self.last_error = error
        self._n_overloads += 1
        wait_s = wait_bound_s(
            self._retry.first_wait_s, self._retry.max_wait_s, self._n_overloads
        )
        self._saturated_until = self._timing.clock() + wait_s

    def put_out(self, error: SonicError) -> bool:
        """Note that it fails every request; return whether this is news."""
        is_news = self.breaker.state != "open"
        self.last_error = error
        if is_news:
            self.breaker.open(now=self._timing.clock())
            # The model may be there again already: it is asked for at once, once.
            self.is_asked_again = isinstance(error, ModelNotFoundError)
        return is_news

    def is_new_version(self, version: str) -> bool:
        """Whether another version of the model answers than ever before; true once."""
        is_new = version != self._latest_version
        self._latest_version = version
        return is_new

    def probe_wait_s(self) -> float:
        """Return the seconds until it may be asked for admission again."""
        return self.breaker.probe_wait_s(self._timing.clock())

    def admitted(self, metadata: ModelMetadata) -> None:
        """Note that it may be asked; half-heartedly, if it was out of order."""
        is_first = self.metadata is None
        self.metadata, self.is_asked_again = metadata, False
        self._latest_version = metadata.version
        self._window.forget()
        if is_first:
            self.breaker.close()
        else:
            self.breaker.half_open()

    def turned_away(self, error: Exception) -> None:
        """Note that it did not pass admission."""
        self.last_error, self.is_asked_again = error, False
        self._n_refusals += 1
        now = self._timing.clock()
        if self.metadata is None and not (self.is_waiting or self._is_never_there):
            # The job has not begun: rather know soon that it cannot.
            bound_s = wait_bound_s(
                self._retry.first_wait_s, self._retry.max_wait_s, self._n_refusals
            )
            self.breaker.pause(now + bound_s * self._timing.jitter())
        else:
            self.breaker.open(now=now)
