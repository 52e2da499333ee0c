"""What an error asks for, by its class."""

from __future__ import annotations

from enum import Enum

from sonic_base.errors import SonicError
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ModelNotFoundError,
    RequestTooLargeError,
    ServerOverloadedError,
    ServerUnreachableError,
    TlsError,
    TransientError,
    TryTimedOutError,
    WrongPortError,
)

__all__ = ["Disposition", "disposition_of"]


class Disposition(Enum):
    """What may repair a failed try."""

    AGAIN = "again"
    """The same server may answer when asked again."""

    ELSEWHERE_FIRST = "elsewhere first"
    """Another server is the better choice; this one again, if there is none."""

    ELSEWHERE_ONLY = "elsewhere only"
    """This server fails the request again; another one may not."""

    LOOK_AGAIN = "look again"
    """The same, except that the model may have been away for a moment: once."""

    SPLIT = "split"
    """Smaller messages may pass, at any server; the same one does not."""

    NEVER = "never"
    """The request fails again wherever it is sent."""


def disposition_of(error: SonicError) -> Disposition:
    """Return what an error of a try asks for.

    The classes themselves come from status and text of the answer: a full queue
    and a lost connection are both UNAVAILABLE, but not the same here.
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
