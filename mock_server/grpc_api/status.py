"""Errors of the server as the status of an RPC."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from mock_server.errors import ModelError

Response = TypeVar("Response")


def errors_become_status(
    rpc: Callable[[Any, Any, Any], Response],
) -> Callable[[Any, Any, Any], Response]:
    """End an RPC that raises `ModelError` with its code and its text."""

    @wraps(rpc)
    def answer(service: Any, request: Any, context: Any) -> Response:
        try:
            return rpc(service, request, context)
        except ModelError as error:
            context.abort(error.code, error.message)
            raise  # not reached: abort raises

    return answer
