"""The error for the status of an answer, by what the caller can do.

The codes and texts are those of a running Triton, of gRPC's core, and of nginx, haproxy
and Envoy. The texts matter, because one code has several causes: a full queue and a
lost connection are both UNAVAILABLE, an overload and an oversized message both
RESOURCE_EXHAUSTED.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sonic_client.errors import (
    AccessDeniedError,
    ConnectionEndedError,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerError,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnreachableError,
    TlsError,
    TransientError,
    TryTimedOutError,
)
from sonic_client.transport.planned_ends import PLANNED_END_REMEDY

__all__ = [
    "KEPT_CONNECTION_ENDED",
    "NOT_HTTP_1",
    "error_of_http_status",
    "error_of_status",
    "retry_after_s",
]

_KINDS: dict[str, type[ServerError]] = {
    # The server's own cancel, as on shutdown; ours is asyncio.CancelledError.
    "CANCELLED": TransientError,
    "DEADLINE_EXCEEDED": TryTimedOutError,
    "UNAVAILABLE": TransientError,
    "RESOURCE_EXHAUSTED": ServerOverloadedError,
    "ABORTED": TransientError,
    "DATA_LOSS": ServerFaultError,
    "NOT_FOUND": ModelNotFoundError,
    "PERMISSION_DENIED": AccessDeniedError,
    "UNAUTHENTICATED": AccessDeniedError,
    "INVALID_ARGUMENT": RejectedRequestError,
    "ALREADY_EXISTS": RejectedRequestError,
    "FAILED_PRECONDITION": RejectedRequestError,
    "OUT_OF_RANGE": RejectedRequestError,
    "UNIMPLEMENTED": RejectedRequestError,
    # The model's process died, its device has no memory left, or it raised: another
    # server may still answer. Input that no server takes is INVALID_ARGUMENT.
    "INTERNAL": ServerFaultError,
    "UNKNOWN": ServerFaultError,
}
# The gRPC status that an HTTP status stands for, so that errors are the same.
_HTTP_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
# An HTTP status that is more than the gRPC status that it stands for.
_HTTP_KINDS: dict[int, type[ServerError]] = {
    404: ModelNotFoundError,
    413: RequestTooLargeError,
    429: ServerOverloadedError,
    502: ServerFaultError,
    504: ServerFaultError,
}
_HTTP_IN_GRPC = re.compile(r"http2 header with status: (\d{3})")

_TOO_LARGE_TEXTS = (
    "larger than max",
    "Exception serializing request",
    "--http-max-input-size",
    "body is larger than the limit",
)
_OVERLOAD_TEXTS = ("exceeds maximum queue size", "request timeout expired")
# Of proxies that limit the rate or the number of requests, in lower case.
_THROTTLED_TEXTS = (
    *_OVERLOAD_TEXTS,
    "overload",
    "overflow",
    "too many requests",
    "rate limit",
    "rate_limit",
    "throttl",
)
_CONNECT_TEXTS = (
    "failed to connect",
    "Failed to connect",
    "connections to all backends failing",
)
_CONNECTION_TEXTS = (
    "errors resolving",
    "DNS resolution failed",
    "onnection re",  # Connection refused, connection reset by peer
    "Socket closed",
    "Broken pipe",
    "RST_STREAM",
    "Stream removed",
    "GOAWAY",
    "Cancelling all calls",
    "recvmsg:",
    "sendmsg:",
)
KEPT_CONNECTION_ENDED = "kept connection ended"
"""Begins the details where a kept HTTP connection ends before a byte of the answer."""

NOT_HTTP_1 = "Failed parsing HTTP/1"
"""Begins the details where an answer is not HTTP/1, as from a gRPC port."""

_PLANNED_END_TEXTS = (
    KEPT_CONNECTION_ENDED,
    "GOAWAY received; Error code: 0",  # HTTP/2's NO_ERROR
    "RST_STREAM with error code 7",  # HTTP/2's REFUSED_STREAM
    # A server's limit of a connection's age, in gRPC's core since 1.68 and before.
    "max connection age",
    "enter idle",
)
_TLS_TEXTS = ("handshake failed", "Hostname Verification", "verification check failed")
_TLS_REMEDIES = {
    "WRONG_VERSION_NUMBER": "TLS on a plaintext port? then use grpc:// or http://",
    "CERTIFICATE_VERIFY_FAILED": "name the authority's certificate in tls.roots",
    "Hostname Verification": "name what the certificate is for in tls.server_name",
}
_PLAINTEXT_REMEDY = "does the port speak TLS? then use grpcs://"
_NOT_LISTENING_REMEDY = "is it running, on this port?"
_HTTP_TEXTS = (NOT_HTTP_1, "Failed parsing HTTP/2", "http1.x server")
_PORT_REMEDY = ":8001 is gRPC, :8000 HTTP"


def error_of_status(
    status: str, details: str, *, server: str, headers: Mapping[str, str] = {}
) -> ServerError:
    """Return the error for a gRPC status, to be raised by the transport.

    Parameters
    ----------
    status : str
        Name of a gRPC status code other than OK.
    details : str
        The text beside it.
    server : str
        Address that was called.
    headers : mapping of str to str
        Trailing metadata of the answer; keys in lower case.
    """
    wait_s = retry_after_s(headers)
    found = _HTTP_IN_GRPC.search(details)
    kind = None if found is None else _HTTP_KINDS.get(int(found[1]))
    if status == "UNAVAILABLE" and wait_s is not None:
        kind = ServerOverloadedError  # it would not say when if it did not know
    return _error(kind or _kind(status, details), status, details, server, wait_s)


def error_of_http_status(
    code: int,
    details: str,
    *,
    server: str,
    headers: Mapping[str, str] = {},
    is_protocol: bool = True,
) -> ServerError:
    """Return the error for an HTTP status other than 200, to be raised.

    Parameters
    ----------
    code : int
    details : str
        The error that the body names, or else the body.
    server : str
        Address that was called.
    headers : mapping of str to str
        Of the answer; keys in lower case.
    is_protocol : bool
        Whether the body has the form of the protocol's errors. A proxy's has not.
    """
    status = _HTTP_STATUSES.get(code, "INTERNAL" if code >= 500 else "UNKNOWN")
    if status == "INVALID_ARGUMENT" and not is_protocol:
        status = "INTERNAL"  # as gRPC does: no server has read the request
    if code == 400 and "already in manager" in details:
        status = "ALREADY_EXISTS"
    wait_s = retry_after_s(headers)
    kind = _HTTP_KINDS.get(code)
    if code == 503 and (wait_s is not None or "x-envoy-overloaded" in headers):
        kind = ServerOverloadedError
    if code not in _HTTP_STATUSES:
        details = f"HTTP status {code}: {details}"
    return _error(kind or _kind(status, details), status, details, server, wait_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which a server asks to be tried again, if it says so.

    HTTP's ``Retry-After`` in seconds, or gRPC's ``grpc-retry-pushback-ms`` (gRFC A6).
    Dates, and negative numbers, which forbid a retry, count as nothing said.
    """
    for name, unit_s in (("retry-after", 1.0), ("grpc-retry-pushback-ms", 1e-3)):
        text = headers.get(name, "").strip()
        if text.isdecimal():
            return int(text) * unit_s
    return None


def _error(
    kind: type[ServerError],
    status: str,
    details: str,
    server: str,
    wait_s: float | None,
) -> ServerError:
    remedy = _remedy(kind, details, server)
    error = kind(server=server, status=status, details=details, remedy=remedy)
    if isinstance(error, ServerOverloadedError):
        error.retry_after_s = wait_s
    return error


def _kind(status: str, details: str) -> type[ServerError]:
    if any(text in details for text in _TOO_LARGE_TEXTS):
        return RequestTooLargeError
    if status in {"UNAVAILABLE", "INTERNAL", "UNKNOWN"}:
        if any(text in details for text in _TLS_TEXTS):
            return TlsError
        texts = _THROTTLED_TEXTS if status == "UNAVAILABLE" else _OVERLOAD_TEXTS
        if any(text in details.lower() for text in texts):
            return ServerOverloadedError
        is_connected = not any(text in details for text in _CONNECT_TEXTS)
        if is_connected and any(text in details for text in _PLANNED_END_TEXTS):
            return ConnectionEndedError
        lost = (*_CONNECT_TEXTS, *_CONNECTION_TEXTS, NOT_HTTP_1)
        if any(text in details for text in lost):
            return ServerUnreachableError
    return _KINDS[status]


def _remedy(kind: type[ServerError], details: str, server: str) -> str:
    if kind is TlsError:
        for text, remedy in _TLS_REMEDIES.items():
            if text in details:
                return remedy
    if kind is ConnectionEndedError:
        return PLANNED_END_REMEDY
    if kind is ServerUnreachableError:
        return _remedy_of_unreachable(details, server)
    if kind is ModelNotFoundError:
        return f"`sonic servers {server}` lists its models"
    return ""


def _remedy_of_unreachable(details: str, server: str) -> str:
    is_http_port = server.startswith("grpc:") and server.endswith(":8000")
    if is_http_port or any(text in details for text in _HTTP_TEXTS):
        return _PORT_REMEDY
    # The port accepts the connection and closes it at the first byte.
    connects = any(text in details for text in _CONNECT_TEXTS)
    if server.startswith("grpc:") and connects and "Socket closed" in details:
        return _PLAINTEXT_REMEDY
    return _NOT_LISTENING_REMEDY if "onnection refused" in details else ""
