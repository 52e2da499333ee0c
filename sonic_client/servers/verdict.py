"""What a try says about the server, which is not what it says about the request."""

from __future__ import annotations

from enum import Enum

from sonic_base.errors import SonicError
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ModelMismatchError,
    ModelNotFoundError,
    ModelNotReadyError,
    NonFiniteAnswerError,
    ServerOverloadedError,
    TlsError,
    TransientError,
    WrongPortError,
)

__all__ = ["Verdict", "verdict_on"]


class Verdict(Enum):
    """What a try says about the server."""

    WORKS = "works"
    """It answered, be it with a no."""

    IS_FULL = "is full"
    """It is alive and has no room: not a failure, and no reason to leave it."""

    FAILED = "failed"
    """It failed, and may do better next time."""

    IS_OUT = "is out"
    """It fails every request, so one is enough to know."""


def verdict_on(error: SonicError | None) -> Verdict:
    """Return what a try says about the server; None is an answer."""
    if error is None:
        return Verdict.WORKS
    match error:
        case ServerOverloadedError():
            return Verdict.IS_FULL
        case (
            ModelNotReadyError()
            | ModelNotFoundError()
            | ModelMismatchError()
            | AccessDeniedError()
            | TlsError()
            | WrongPortError()
        ):
            return Verdict.IS_OUT
        # As likely as not the event's own doing.
        case NonFiniteAnswerError():
            return Verdict.WORKS
        case TransientError() | InvalidAnswerError():
            return Verdict.FAILED
        case _:
            return Verdict.WORKS
