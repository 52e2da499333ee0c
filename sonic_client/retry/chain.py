"""The next step of a request after a failed try: pure planning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Literal, TypeAlias

from sonic_base import SonicError
from sonic_client.config import RetryConfig
from sonic_client.errors import (
    AccessDeniedError,
    FailsEverywhereError,
    InvalidAnswerError,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnreachableError,
    TlsError,
    TransientError,
    TriesExhaustedError,
    TryTimedOutError,
    WrongPortError,
)
from sonic_client.retry.pacing import wait_bound_s

__all__ = ["Disposition", "RetryChain", "RetryStep", "Situation", "disposition_of"]

Target: TypeAlias = Literal["same_server", "other_server", "any_server", "fallback"]

# A full server is never asked in a hot loop, whatever the configured waits are.
_LEAST_WAIT_FOR_ROOM_S = 0.01

# A process that died takes longer to come back than a lost connection.
_FAULT_WAIT_FACTOR = 10.0


class Disposition(Enum):
    """The remedy after a failed try."""

    AGAIN = "again"
    """The same server may answer when asked again."""

    ELSEWHERE_FIRST = "elsewhere first"
    """Another server is the better choice; without one, the same server again."""

    ELSEWHERE_ONLY = "elsewhere only"
    """This server would fail the request again; another one may not."""

    LOOK_AGAIN = "look again"
    """As `ELSEWHERE_ONLY`, but one more try is allowed here: the model may have been
    away for a moment."""

    WHEN_THERE_IS_ROOM = "when there is room"
    """The server is full. That is no failed try: another server may have room, or this
    one after a wait."""

    SPLIT = "split"
    """Smaller messages may pass here. One that cannot be split may pass elsewhere."""

    NEVER = "never"
    """The request fails again wherever it is sent."""


def disposition_of(error: SonicError) -> Disposition:
    """Return the remedy for an error.

    The transport chose the error's class by the status and the text of the answer: a
    full queue and a lost connection are both UNAVAILABLE, but not the same here.
    """
    for kinds, disposition in _DISPOSITIONS:
        if isinstance(error, kinds):
            return disposition
    if isinstance(error, RejectedRequestError) and not error.is_everywhere:
        return Disposition.ELSEWHERE_ONLY
    return Disposition.NEVER


# The first row that fits counts.
_DISPOSITIONS: tuple[tuple[type[SonicError] | UnionType, Disposition], ...] = (
    (ServerOverloadedError, Disposition.WHEN_THERE_IS_ROOM),
    (
        TryTimedOutError | ServerUnreachableError | ServerFaultError,
        Disposition.ELSEWHERE_FIRST,
    ),
    (TransientError, Disposition.AGAIN),
    (RequestTooLargeError, Disposition.SPLIT),
    (ModelNotFoundError, Disposition.LOOK_AGAIN),
    (
        AccessDeniedError | TlsError | WrongPortError | InvalidAnswerError,
        Disposition.ELSEWHERE_ONLY,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Which ways to go on a request has.

    Attributes
    ----------
    same_server : bool
        Whether the server that failed may be asked again.
    other_server : bool
        Whether a server that this request has not failed at may be asked.
    any_server : bool
        Whether any server may be asked, now or soon, that has not ruled itself out.
    fallback : bool
        Whether there is a fallback.
    room : bool
        Whether a server may be asked that has not refused this request as full since it
        last waited.
    room_s : float
        Seconds for which no server wants to be asked for room again.
    is_patient : bool
        Whether there is still time to wait for full servers before the fallback.
    can_split : bool
        Whether the request can be sent in smaller parts.
    """

    same_server: bool = True
    other_server: bool = False
    any_server: bool = True
    fallback: bool = False
    room: bool = False
    room_s: float = 0.0
    is_patient: bool = True
    can_split: bool = False


@dataclass(frozen=True, slots=True)
class RetryStep:
    """Where to try next, and how long to wait before.

    Attributes
    ----------
    target : str
        ``any_server`` begins a new round with the server tried longest ago.
    wait_s : float
        Seconds.
    is_for_recovery : bool
        Whether the wait may end early, as soon as a server answers another request:
        then it needs no time to recover.
    """

    target: Target
    wait_s: float = 0.0
    is_for_recovery: bool = False


class RetryChain:
    """The tries of one request.

    Parameters
    ----------
    request_id : str
        Named in errors.
    jitter : callable
        Returns a number from 0 to 1, by which a wait's upper bound is multiplied.

    Attributes
    ----------
    failures : list of SonicError
        The error of each failed try, oldest first; refusals of full servers are not
        among them.
    refusal : ServerOverloadedError or None
        The latest refusal of a full server.
    """

    def __init__(
        self, config: RetryConfig, jitter: Callable[[], float], *, request_id: str = ""
    ) -> None:
        self._config, self._jitter, self._request_id = config, jitter, request_id
        self._same_left = config.same_server_retries
        self._n_kept = self._n_faults = self._n_refusals = 0
        self.failures: list[SonicError] = []
        self.refusal: ServerOverloadedError | None = None

    @property
    def tries_left(self) -> int:
        """The number of tries at servers that are still allowed."""
        left = self._config.allowed_tries - len(self.failures) + self._n_kept
        return left if self._may_fault else 0

    @property
    def _may_fault(self) -> bool:
        return self._n_faults < self._config.fault_tries

    @property
    def has_fault(self) -> bool:
        """Whether a try ended in a fault of a server."""
        return self._n_faults > 0

    @property
    def errors(self) -> list[SonicError]:
        """The failures, and the latest refusal of a full server."""
        return [*self.failures, *([self.refusal] if self.refusal else [])]

    def keep(self, error: SonicError) -> None:
        """Keep the error of one of two calls that are one try; the other's follows."""
        if isinstance(error, ServerOverloadedError):
            self.refusal = error
            return
        self.failures.append(error)
        self._n_faults += isinstance(error, ServerFaultError)
        self._n_kept += 1

    def after(self, error: SonicError, situation: Situation) -> RetryStep:
        """Return what to do after a try that failed.

        Raises
        ------
        SonicError
            `error` itself, if no other try can help.
        FailsEverywhereError
            As many tries as may end in a fault of a server did, or all of them; the
            last one is its cause.
        TriesExhaustedError
            Every allowed try failed; the last failure is its cause.
        """
        disposition = disposition_of(error)
        if disposition is Disposition.SPLIT and not situation.can_split:
            disposition = Disposition.ELSEWHERE_ONLY
        if disposition in (Disposition.NEVER, Disposition.SPLIT):
            raise error
        if isinstance(error, ServerOverloadedError):
            return self._when_there_is_room(error, situation)
        self.failures.append(error)
        self._n_faults += isinstance(error, ServerFaultError)
        for action in self._config.chain:
            if action == "fallback" and situation.fallback:
                return RetryStep("fallback")
            if self.tries_left <= 0:
                continue
            if action == "other_server" and situation.other_server:
                return RetryStep("other_server")
            if (
                action == "same_server"
                and situation.same_server
                and self._same_left
                and disposition is Disposition.AGAIN
            ):
                self._same_left -= 1
                return RetryStep("same_server", self._wait_s(len(self.failures)))
        return self._new_round(error, disposition, situation)

    def _new_round(
        self, error: SonicError, disposition: Disposition, situation: Situation
    ) -> RetryStep:
        """Return the step that begins with any server again."""
        may_go_on = self.tries_left > 0 and situation.any_server
        is_final = disposition in (Disposition.ELSEWHERE_ONLY, Disposition.LOOK_AGAIN)
        if is_final and not may_go_on:
            raise error
        if self.tries_left <= 0:
            if self._n_faults == len(self.failures) or not self._may_fault:
                raise self.fails_everywhere() from error
            raise TriesExhaustedError(self.failures) from error
        self._same_left = self._config.same_server_retries
        if isinstance(error, ServerFaultError):
            wait_s = min(
                self._config.max_wait_s,
                _FAULT_WAIT_FACTOR * self._wait_s(len(self.failures)),
            )
            return RetryStep("any_server", wait_s, is_for_recovery=True)
        return RetryStep("any_server", self._wait_s(len(self.failures)))

    def fails_everywhere(self, *last: SonicError) -> FailsEverywhereError:
        """Return the error of a request that breaks servers, the fallback included."""
        return FailsEverywhereError(
            request_id=self._request_id, failures=[*self.failures, *last]
        )

    def _when_there_is_room(
        self, error: ServerOverloadedError, situation: Situation
    ) -> RetryStep:
        self.refusal = error
        if situation.room and "other_server" in self._config.chain:
            return RetryStep("other_server")
        if situation.fallback and not situation.is_patient:
            return RetryStep("fallback")
        self._n_refusals += 1
        wait_s = max(self._wait_s(self._n_refusals), _LEAST_WAIT_FOR_ROOM_S)
        return RetryStep("any_server", max(wait_s, situation.room_s))

    def _wait_s(self, n_failures: int) -> float:
        bound_s = wait_bound_s(
            self._config.first_wait_s, self._config.max_wait_s, n_failures
        )
        return self._jitter() * bound_s
