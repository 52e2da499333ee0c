"""The error for a gRPC status, by what the caller can do.

The codes and texts are those of a running Triton and of gRPC's core. The texts
matter, because one code has several causes: a full queue and a lost connection
are both UNAVAILABLE, an overload and an oversized message both
RESOURCE_EXHAUSTED.
"""

from sonic_client.errors import (
    AccessDeniedError,
    ConnectionEndedError,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerError,
    ServerOverloadedError,
    ServerUnreachableError,
    TlsError,
    TransientError,
    TryTimedOutError,
)
from sonic_client.transport.planned_ends import PLANNED_END_REMEDY

__all__ = ["KEPT_CONNECTION_ENDED", "error_of_status"]

_KINDS: dict[str, type[ServerError]] = {
    # The server's own cancel, as on shutdown; ours is asyncio.CancelledError.
    "CANCELLED": TransientError,
    "DEADLINE_EXCEEDED": TryTimedOutError,
    "UNAVAILABLE": TransientError,
    "RESOURCE_EXHAUSTED": ServerOverloadedError,
    "ABORTED": TransientError,
    "DATA_LOSS": TransientError,
    "NOT_FOUND": ModelNotFoundError,
    "PERMISSION_DENIED": AccessDeniedError,
    "UNAUTHENTICATED": AccessDeniedError,
    "INVALID_ARGUMENT": RejectedRequestError,
    "ALREADY_EXISTS": RejectedRequestError,
    "FAILED_PRECONDITION": RejectedRequestError,
    "OUT_OF_RANGE": RejectedRequestError,
    "UNIMPLEMENTED": RejectedRequestError,
    # The model raised while executing: the same input would make it raise again.
    "INTERNAL": RejectedRequestError,
    "UNKNOWN": RejectedRequestError,
}

_TOO_LARGE_TEXTS = ("larger than max", "Exception serializing request")
_OVERLOAD_TEXTS = ("Exceeds maximum queue size", "Request timeout expired")
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

_PLANNED_END_TEXTS = (
    KEPT_CONNECTION_ENDED,
    "GOAWAY received; Error code: 0",  # HTTP/2's NO_ERROR
    "REFUSED_STREAM",
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
_HTTP_TEXTS = ("Failed parsing HTTP/2", "http1.x server")
_PORT_REMEDY = ":8001 is gRPC, :8000 HTTP"


def error_of_status(status: str, details: str, *, server: str) -> ServerError:
    """Return the error for a status, to be raised by the transport.

    Parameters
    ----------
    status : str
        Name of a gRPC status code other than OK.
    details : str
        The text beside it.
    server : str
        Address that was called.
    """
    kind = _kind(status, details)
    remedy = _remedy(kind, details, server)
    return kind(server=server, status=status, details=details, remedy=remedy)


def _kind(status: str, details: str) -> type[ServerError]:
    if any(text in details for text in _TOO_LARGE_TEXTS):
        return RequestTooLargeError
    if status in {"UNAVAILABLE", "INTERNAL", "UNKNOWN"}:
        if any(text in details for text in _TLS_TEXTS):
            return TlsError
        if any(text in details for text in _OVERLOAD_TEXTS):
            return ServerOverloadedError
        is_connected = not any(text in details for text in _CONNECT_TEXTS)
        if is_connected and any(text in details for text in _PLANNED_END_TEXTS):
            return ConnectionEndedError
        if any(text in details for text in (*_CONNECT_TEXTS, *_CONNECTION_TEXTS)):
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
        is_http_port = server.startswith("grpc:") and server.endswith(":8000")
        if is_http_port or any(text in details for text in _HTTP_TEXTS):
            return _PORT_REMEDY
        # The port accepts the connection and closes it at the first byte.
        connects = any(text in details for text in _CONNECT_TEXTS)
        if server.startswith("grpc:") and connects and "Socket closed" in details:
            return _PLAINTEXT_REMEDY
    return ""
