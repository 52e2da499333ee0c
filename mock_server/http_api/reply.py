"""What goes back over HTTP, and the statuses that errors have there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import grpc

from mock_server.errors import ModelError
from mock_server.http_api.json_text import Json, dump

JSON = "application/json"
TEXT = "text/plain"
BINARY = "application/octet-stream"

_CODE = grpc.StatusCode
STATUS: Mapping[grpc.StatusCode, int] = MappingProxyType(
    {
        _CODE.INVALID_ARGUMENT: 400,
        _CODE.NOT_FOUND: 404,
        _CODE.INTERNAL: 500,
        _CODE.UNAVAILABLE: 503,
        _CODE.UNIMPLEMENTED: 501,
        _CODE.ALREADY_EXISTS: 400,
        _CODE.CANCELLED: 400,
        _CODE.UNKNOWN: 400,
        # Not Triton's own: what proxies before it answer.
        _CODE.UNAUTHENTICATED: 401,
        _CODE.PERMISSION_DENIED: 403,
        _CODE.DEADLINE_EXCEEDED: 504,
        _CODE.RESOURCE_EXHAUSTED: 413,
        _CODE.FAILED_PRECONDITION: 400,
        _CODE.OUT_OF_RANGE: 400,
        _CODE.ABORTED: 409,
        _CODE.DATA_LOSS: 500,
    }
)
"""Status of each code."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, and the headers that Triton sends."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    is_chunked: bool = False
    """Sent in chunks, without a Content-Length."""

    @classmethod
    def json(cls, value: Json) -> Reply:
        """A value as JSON."""
        return cls(body=dump(value))

    @classmethod
    def error(
        cls,
        status: int,
        text: str,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """``{"error": ...}``."""
        return cls(status, dump({"error": text}), content_type, headers or {})

    @classmethod
    def of_error(
        cls,
        error: ModelError,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """An error, in HTTP's terms."""
        return cls.error(STATUS[error.code], error.message, content_type, headers)


class PlainTextError(Exception):
    """An error whose answer is declared plain text, as some of Triton's are."""

    def __init__(
        self, error: ModelError, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.headers = headers or {}
