"""Answers of servers that may be anything: what cannot be read is an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sonic_client.errors import InvalidAnswerError, Mismatch, ServerError

__all__ = ["MAX_DESCRIPTION_BYTES", "checked", "read_answer"]

ResultT = TypeVar("ResultT")

MAX_DESCRIPTION_BYTES = 4 * 2**20
"""Of any answer that holds no tensors, decompressed: a hundred times what one has."""

# Characters of what was found: a server may answer with megabytes.
_MAX_FOUND = 200


def read_answer(
    reader: Callable[[], ResultT], *, model: str = "*", server: str, expected: str
) -> ResultT:
    """Return what `reader` finds in an answer.

    Raises
    ------
    InvalidAnswerError
        Instead of anything else that the reader raises: wrong types, numbers out of
        range, too deep nesting, too little memory.
    """
    try:
        return reader()
    except (ServerError, InvalidAnswerError):
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}"[:_MAX_FOUND]
        mismatch = Mismatch("*", expected, found)
        # Without its traceback, whose frames hold the answer.
        raise InvalidAnswerError(
            model=model, server=server, mismatches=[mismatch]
        ) from error.with_traceback(None)


# Any: a foreign server may answer anything.
def checked(value: Any, kind: type[ResultT]) -> ResultT:
    """Return a value of an answer if it is exactly of this type: a bool is no int.

    Raises
    ------
    TypeError
        If it is not.
    """
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
