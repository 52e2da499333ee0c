"""Free TCP ports on loopback."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from sonic_tracking.engines.triton_command import Ports

__all__ = ["free_ports"]


def free_ports(wanted: Ports, host: str = "127.0.0.1") -> Ports:
    """`wanted`, with a free port in place of each 0.

    All are held at once while they are chosen, so they differ. Another process may
    take one before it is used: the caller must be ready to ask again.
    """
    with ExitStack() as held:

        def chosen(port: int) -> int:
            if port:
                return port
            listener = held.enter_context(socket.socket())
            listener.bind((host, 0))
            number: int = listener.getsockname()[1]
            return number

        return Ports(
            grpc=chosen(wanted.grpc),
            http=chosen(wanted.http),
            metrics=chosen(wanted.metrics),
        )
