"""From what HTTP and aiohttp say to a gRPC status, so that errors are the same."""

from __future__ import annotations

import json
import ssl

import aiohttp

from sonic_client.errors import ServerError
from sonic_client.transport.status import error_of_status

__all__ = ["error_of_exception", "error_of_response"]

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
# Of a page that is no answer of a KServe server, as much as tells what it is.
_MAX_TEXT = 500


def error_of_response(code: int, body: str, *, server: str) -> ServerError:
    """Return the error for an HTTP status code other than 200 and its body."""
    details = _error_text(body)
    status = _STATUSES.get(code, "UNKNOWN")
    if code == 400 and "already in manager" in details:
        status = "ALREADY_EXISTS"
    if code == 413:
        details = f"message larger than max: {details}"
    if status == "UNKNOWN":
        details = f"HTTP status {code}: {details}"
    return error_of_status(status, details, server=server)


def _error_text(body: str) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, TypeError, KeyError):
        return body[:_MAX_TEXT]


def error_of_exception(
    error: aiohttp.ClientError | OSError, *, server: str
) -> ServerError:
    """Return the error for what aiohttp raised while calling."""
    if isinstance(error, TimeoutError):
        return error_of_status("DEADLINE_EXCEEDED", "Deadline Exceeded", server=server)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = error.certificate_error
        text = getattr(reason, "verify_message", str(reason))
        hostname = "ostname mismatch" in text or "not valid for" in text
        cause = "Hostname Verification" if hostname else "CERTIFICATE_VERIFY_FAILED"
        details = f"TLS handshake failed: {cause}: {text}"
    elif isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        details = f"TLS handshake failed: {error}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        details = f"failed to connect: {error}"
    elif isinstance(error, aiohttp.ClientResponseError):
        # No HTTP/1 came back, as from a gRPC port.
        details = f"Failed parsing HTTP/1: {error.message}"
    else:
        details = f"Connection reset: {str(error) or type(error).__name__}"
    return error_of_status("UNAVAILABLE", details, server=server)
