"""The next step of a request after a failed try: pure planning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from sonic_base import SonicError
from sonic_client.config import RetryConfig
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ModelNotFoundError,
    RequestTooLargeError,
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

    SPLIT = "split"
    """Smaller messages may pass; this one passes at no server."""

    NEVER = "never"
    """The request fails again wherever it is sent."""


def disposition_of(error: SonicError) -> Disposition:
    """Return the remedy for an error.

    The transport chose the error's class by the status and the text of the answer: a
    full queue and a lost connection are both UNAVAILABLE, but not the same here.
    """
    match error:
        case TryTimedOutError() | ServerUnreachableError() | ServerOverloadedError():
            return Disposition.ELSEWHERE_FIRST
        case TransientError():
            return Disposition.AGAIN
        case RequestTooLargeError():
            return Disposition.SPLIT
        case ModelNotFoundError():
            return Disposition.LOOK_AGAIN
        case AccessDeniedError() | TlsError() | WrongPortError() | InvalidAnswerError():
            return Disposition.ELSEWHERE_ONLY
        case _:
            return Disposition.NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Which ways to go on a request has.

    Attributes
    ----------
    same_server : bool
        Whether the server that failed may be asked again.
    other_server : bool
        Whether a server that this request has not tried yet may be asked.
    any_server : bool
        Whether any server may be asked, now or soon, that has not ruled itself out.
    fallback : bool
        Whether there is a fallback.
    """

    same_server: bool = True
    other_server: bool = False
    any_server: bool = True
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class RetryStep:
    """Where to try next, and how long to wait before.

    Attributes
    ----------
    target : str
        ``any_server`` begins a new round with the server tried longest ago.
    """

    target: Target
    wait_s: float = 0.0


class RetryChain:
    """The tries of one request.

    Parameters
    ----------
    jitter : callable
        Returns a number from 0 to 1, by which a wait's upper bound is multiplied.

    Attributes
    ----------
    failures : list of SonicError
        The error of each failed try, oldest first.
    """

    def __init__(self, config: RetryConfig, jitter: Callable[[], float]) -> None:
        self._config, self._jitter = config, jitter
        self._same_left = config.same_server_retries
        self._has_looked_again = False
        self._n_kept = 0
        self.failures: list[SonicError] = []

    @property
    def tries_left(self) -> int:
        """The number of tries at servers that are still allowed."""
        return self._config.allowed_tries - len(self.failures) + self._n_kept

    def keep(self, error: SonicError) -> None:
        """Keep the error of one of two calls that are one try; the other's follows."""
        self.failures.append(error)
        self._n_kept += 1

    def after(self, error: SonicError, situation: Situation) -> RetryStep:
        """Return what to do after a try that failed.

        Raises
        ------
        SonicError
            `error` itself, if no other try can help.
        TriesExhaustedError
            Every allowed try failed; the last failure is its cause.
        """
        disposition = disposition_of(error)
        if disposition in (Disposition.NEVER, Disposition.SPLIT):
            raise error
        self.failures.append(error)
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
                return RetryStep("same_server", self._wait_s())
        may_go_on = self.tries_left > 0 and situation.any_server
        if disposition is Disposition.ELSEWHERE_ONLY and not may_go_on:
            raise error
        if disposition is Disposition.LOOK_AGAIN:
            if self._has_looked_again:
                raise error
            self._has_looked_again = True
        if self.tries_left <= 0:
            raise TriesExhaustedError(self.failures) from error
        self._same_left = self._config.same_server_retries
        return RetryStep("any_server", self._wait_s())

    def _wait_s(self) -> float:
        bound_s = wait_bound_s(
            self._config.first_wait_s, self._config.max_wait_s, len(self.failures)
        )
        return self._jitter() * bound_s
