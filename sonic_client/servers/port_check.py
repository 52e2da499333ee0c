"""What listens at a port that gRPC cannot talk to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sonic_base.errors import SonicError
from sonic_client.config import ServerConfig
from sonic_client.errors import ServerUnreachableError, WrongPortError

__all__ = ["explain_unreachable"]

_TIMEOUT_S = 1.0
_QUESTION = b"GET /v2/health/live HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


async def explain_unreachable(error: SonicError, server: ServerConfig) -> SonicError:
    """Return a better error, if the port answers and speaks plain HTTP.

    gRPC says of such a port that it cannot connect, as of one where nothing
    listens, and the two must not be treated alike: one may come back.
    """
    if not isinstance(error, ServerUnreachableError) or server.scheme != "grpc":
        return error
    if not await _speaks_http(server.address):
        return error
    return WrongPortError(
        server=error.server,
        status=error.status,
        details="HTTP answers there, not gRPC",
        remedy="of a Triton, :8001 is gRPC, :8000 HTTP",
    )


async def _speaks_http(address: str) -> bool:
    host, _, port = address.rpartition(":")
    answer = b""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                writer.write(_QUESTION % address.encode())
                await writer.drain()
                answer = await reader.read(8)
            finally:
                writer.close()
    return answer.startswith(b"HTTP/1.")
