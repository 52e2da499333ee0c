"""What comes after a failed try: pure planning, for one request at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sonic_base.errors import SonicError
from sonic_client.config import RetryConfig
from sonic_client.errors import TriesExhaustedError
from sonic_client.retry.backoff import wait_bound_s
from sonic_client.retry.disposition import Disposition, disposition_of

__all__ = ["RetryChain", "RetryStep", "Situation"]

Target: TypeAlias = Literal["same_server", "other_server", "any_server", "fallback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is there to go on with.

    Attributes
    ----------
    same_server : bool
        Whether the server that failed may be asked again.
    other_server : bool
        Whether one that this request did not try yet may be asked.
    any_server : bool
        Whether one may be asked, now or soon, that did not fail it for good.
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
        ``any_server`` begins a new round: the one tried longest ago.
    wait_s : float
    """

    target: Target
    wait_s: float = 0.0


class RetryChain:
    """The tries of one request.

    Parameters
    ----------
    config : RetryConfig
    jitter : callable
        A number from 0 to 1, by which a wait's upper bound is multiplied.

    Attributes
    ----------
    failures : list of SonicError
        What each try failed with, oldest first.
    """

    def __init__(self, config: RetryConfig, jitter: Callable[[], float]) -> None:
        self._config, self._jitter = config, jitter
        self._same_left = config.same_server_retries
        self._has_looked_again = False
        self.failures: list[SonicError] = []

    @property
    def tries_left(self) -> int:
        """How many tries at servers are still allowed."""
        return self._config.allowed_tries - len(self.failures)

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
