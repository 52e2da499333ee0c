"""Closing a client's connection, for which gRPC offers no call."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote

_PEER = re.compile(r"ipv[46]:\[?(?P<host>[^\]]*)\]?:(?P<port>\d+)")


def close_connections_from(peer: str) -> int:
    """Shut down this process's sockets connected to `peer`; return their number.

    The client sees the same as when a server dies: the end of the connection, without
    GOAWAY and without a status for any request on it.

    Parameters
    ----------
    peer : str
        As gRPC writes it: ``ipv4:127.0.0.1:50000``, ``ipv6:%5B::1%5D:50000``.

    Notes
    -----
    gRPC's C core hides its sockets, and ``context.abort`` sends a status. But their
    descriptors belong to this process: the one with that peer is found among them, and
    ``shutdown`` on a duplicate acts on the connection, while the core still closes its
    own descriptor. The alternative, a proxy in front of the server, would have to relay
    every byte of every test.
    """
    match = _PEER.fullmatch(unquote(peer))
    if match is None:
        return 0
    address = match["host"], int(match["port"])
    closed = 0
    for each in _own_sockets():
        with each, suppress(OSError):  # not connected, or closed meanwhile
            host, port = each.getpeername()[:2]
            if (host.removeprefix("::ffff:"), port) == address:
                each.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def _own_sockets() -> Iterator[socket.socket]:
    """Yield a duplicate of every open TCP socket of this process."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names of descriptors, no paths
        with suppress(OSError):  # closed since it was listed, or no socket
            duplicate = os.dup(int(name))
            try:
                each = socket.socket(fileno=duplicate)
            except OSError:
                os.close(duplicate)
                continue
            if each.family in (socket.AF_INET, socket.AF_INET6):
                yield each
            else:
                each.close()
