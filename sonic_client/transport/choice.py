"""The transport that reaches a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sonic_client.config import ServerConfig
from sonic_client.transport.base import RegionTransport, Transport

__all__ = ["TransportLike", "connector_of", "transport_for"]

TransportLike: TypeAlias = Transport | Callable[[ServerConfig], Transport]
"""One transport for all servers, or a function that returns a server's transport."""


def transport_for(server: ServerConfig) -> Transport:
    """Return the transport for a server's scheme, not yet open.

    Raises
    ------
    ConfigError
        If it needs a package that is not installed.
    """
    # Imported where needed, so that `import sonic_client` loads no network library.
    transport: RegionTransport
    if server.scheme in ("http", "https"):
        from sonic_client.transport.http import HttpTransport  # noqa: PLC0415

        transport = HttpTransport(server)
    else:
        from sonic_client.transport.grpc import GrpcTransport  # noqa: PLC0415

        transport = GrpcTransport(server)
    if server.shared_memory == "off" or not server.is_local:
        return transport
    from sonic_client.transport.shared_memory import (  # noqa: PLC0415
        SharedMemoryTransport,
    )

    return SharedMemoryTransport(transport)


def connector_of(given: TransportLike | None) -> Callable[[ServerConfig], Transport]:
    """Return the function that returns the transport of a server."""
    if given is None:
        return transport_for
    return given if callable(given) else lambda server: given
