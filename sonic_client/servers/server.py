"""One server of the pool: its connection and its state, as the client sees it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sonic_base import SonicError
from sonic_client.config import HealthConfig, RetryConfig, ServerConfig
from sonic_client.errors import (
    InvalidAnswerError,
    ModelNotFoundError,
    ModelNotReadyError,
    ServerOverloadedError,
    TransientError,
)
from sonic_client.retry.pacing import Timing, wait_bound_s
from sonic_client.servers.choice import Candidate
from sonic_client.servers.health import Breaker, HealthWindow
from sonic_client.transport.base import ServerCounters, Transport
from sonic_client.types import ModelMetadata

__all__ = ["Server", "Slot"]


class Server:
    """One server of the pool.

    Attributes
    ----------
    name : str
        Its name in summaries and events.
    metadata : ModelMetadata or None
        The model as this server described it; None until a probe succeeded.
    last_error : Exception or None
        Its latest error.
    first_counters : ServerCounters or None
        Its counters before this client sent anything.
    is_used : bool
        Whether it was ever probed.
    is_connected : bool
        Whether its transport is open.
    is_rechecked : bool
        Whether it said that it lacks the model, and is asked once more.
    is_rechecked_at_once : bool
        Whether it is asked without a pause, because it had answered until then.
    full_since : float or None
        Time of the first of its refusals as full, without an answer after it.
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
        self.is_used = self.is_connected = False
        self.is_rechecked = self.is_rechecked_at_once = False
        self._latest_version = ""
        self._window = HealthWindow(health)
        self._retry, self._timing = retry, timing
        self._in_flight = self._n_failed_probes = 0
        self._saturated_until, self._n_overloads = 0.0, 0
        self._asked_until = 0.0
        self.full_since: float | None = None

    @property
    def is_new(self) -> bool:
        """Whether it is not known yet if it can be used."""
        return self.metadata is None and self.last_error is None

    @property
    def is_waiting(self) -> bool:
        """Whether it said that it will take requests later."""
        return isinstance(self.last_error, ModelNotReadyError | ServerOverloadedError)

    @property
    def is_hopeless(self) -> bool:
        """Whether it will not come back, as far as is known."""
        if self.breaker.state != "open" or self.last_error is None:
            return False
        if not isinstance(self.last_error, TransientError | InvalidAnswerError):
            return not self.is_rechecked
        return self._is_never_there and not self.is_waiting

    @property
    def _is_never_there(self) -> bool:
        used_up = self._n_failed_probes >= self._retry.allowed_tries
        return used_up and self.metadata is None

    @property
    def pause(self) -> str:
        """How long it gets no requests, and why, as text for the user."""
        n_failures = max(1, self._window.n_failed)
        failures = "1 failure" if n_failures == 1 else f"{n_failures} failures"
        return f"left alone for {self.probe_wait_s():.3g} s after {failures}"

    def candidate(self) -> Candidate:
        """Return the facts that the choice of a server depends on."""
        now = self._timing.clock()
        return Candidate(
            name=self.name,
            is_usable=self.breaker.admits,
            is_preferred=self.config.preferred,
            saturated_s=max(0.0, self._saturated_until - now),
            in_flight=self._in_flight,
            health=self._window.at(now),
        )

    def take_slot(self) -> bool:
        """Count a request in flight; return whether it is a trial."""
        self._in_flight += 1
        return self.breaker.let_pass()

    def free_slot(self, *, is_trial: bool) -> None:
        """Count a request as no longer in flight."""
        self._in_flight -= 1
        if is_trial:
            self.breaker.withdraw_trial()

    def note_works(self, latency_s: float | None, *, is_trial: bool) -> bool:
        """Note that it works; return whether it was out of order until now.

        `latency_s` is None if it refused the request.
        """
        if self._n_overloads:
            self._n_overloads, self.full_since = 0, None
        if latency_s is not None:
            self._window.succeeded(latency_s, now=self._timing.clock())
        return self.breaker.succeed(is_trial=is_trial)

    def note_slow(self, at_least_s: float) -> None:
        """Note that a call was cancelled after this time."""
        self._window.took_at_least(at_least_s)

    def note_failure(
        self, error: SonicError, *, is_trial: bool, is_repeated: bool = False
    ) -> bool:
        """Note a failure of its own; return whether it is now left alone.

        The failures of one request count once, because it may be their cause.
        """
        now = self._timing.clock()
        self.last_error = error
        if not is_repeated:
            self._window.failed(now=now)
        elif not is_trial:
            return False
        return self.breaker.fail(
            self._window.at(now), now=now, is_trial=is_trial, is_repeated=is_repeated
        )

    @property
    def has_room(self) -> bool:
        """Whether it may be asked, and is not taken to be full."""
        return self.breaker.admits and self._timing.clock() >= self._saturated_until

    def note_overload(self, error: ServerOverloadedError) -> None:
        """Note that it has no capacity: it is alive, but others come first now."""
        now = self._timing.clock()
        self.last_error = error
        if self.full_since is None:
            self.full_since = now
        self._n_overloads += 1
        wait_s = wait_bound_s(
            self._retry.first_wait_s, self._retry.max_wait_s, self._n_overloads
        )
        self._asked_until = now + (error.retry_after_s or 0.0)
        self._saturated_until = max(now + wait_s, self._asked_until)

    @property
    def asked_wait_s(self) -> float:
        """The seconds for which it has asked for no requests, as it is full."""
        return max(0.0, self._asked_until - self._timing.clock())

    def note_out(self, error: SonicError) -> bool:
        """Note that it fails every request; return whether it is now left alone."""
        if self.breaker.state == "open":  # the probes know more than this late answer
            return False
        self.last_error = error
        # The model may be there again already, so it is asked for at once, once.
        self.is_rechecked = isinstance(error, ModelNotFoundError)
        was_closed = self.breaker.state == "closed"
        self.is_rechecked_at_once = self.is_rechecked and was_closed
        self.breaker.open(now=self._timing.clock())
        return True

    def is_new_version(self, version: str) -> bool:
        """Whether another version of the model answers than before; true once."""
        is_new = version != self._latest_version
        self._latest_version = version
        return is_new

    def probe_wait_s(self) -> float:
        """Return the seconds until it may be probed."""
        return self.breaker.probe_wait_s(self._timing.clock())

    def probe_succeeded(self, metadata: ModelMetadata) -> None:
        """Let it have requests; only one at first, if it was out of order."""
        is_first = self.metadata is None
        self.metadata, self.is_rechecked = metadata, False
        self._latest_version = metadata.version
        self._window.forget()
        if is_first:
            self.breaker.close()
        else:
            self.breaker.half_open()

    def probe_failed(self, error: Exception) -> None:
        """Leave it alone until the next probe."""
        self.last_error, self.is_rechecked = error, False
        self._n_failed_probes += 1
        now = self._timing.clock()
        if self.metadata is None and not (self.is_waiting or self._is_never_there):
            # The job has not begun: better to know soon that it cannot.
            bound_s = wait_bound_s(
                self._retry.first_wait_s, self._retry.max_wait_s, self._n_failed_probes
            )
            self.breaker.pause(now + bound_s * self._timing.jitter())
        else:
            self.breaker.open(now=now)


class Slot:
    """A server's slot for one try; leaving the context frees it.

    Parameters
    ----------
    freed : callable
        Is called when a trial has ended, because others may wait to be the next.

    Attributes
    ----------
    is_trial : bool
        Whether the try decides on a half-open breaker.
    """

    def __init__(self, server: Server, freed: Callable[[], None]) -> None:
        self.server, self._freed = server, freed
        self.is_trial = server.take_slot()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.free_slot(is_trial=self.is_trial)
        if self.is_trial:
            self._freed()
