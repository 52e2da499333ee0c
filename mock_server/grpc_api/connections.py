"""Closing a connection under a server that offers no way to."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote

_PEER = re.compile(r"ipv[46]:\[?(?P<host>[^\]]*)\]?:(?P<port>\d+)")


def close_connections_from(peer: str) -> int:
    """Shut down this process's sockets whose other end is `peer`; how many there were.

    The client sees what it sees when a server dies: the end of the connection, with
    no GOAWAY and no status for any request on it.

    Parameters
    ----------
    peer : str
        As gRPC writes it: ``ipv4:127.0.0.1:50000``, ``ipv6:%5B::1%5D:50000``.

    Notes
    -----
    gRPC's C core keeps its sockets to itself, and ``context.abort`` sends a status. But
    its descriptors are this process's: the one with that peer is found among them, and
    ``shutdown`` on a duplicate acts on the connection, while the descriptor stays the
    core's to close. A proxy in front of the server was the alternative: it would have
    to relay every byte of every test for the sake of this one.
    """
    match = _PEER.fullmatch(unquote(peer))
    if match is None:
        return 0
    address = match["host"], int(match["port"])
    closed = 0
    for each in _own_sockets():
        with each, suppress(OSError):  # not connected, or gone meanwhile
            host, port = each.getpeername()[:2]
            if (host.removeprefix("::ffff:"), port) == address:
                each.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def _own_sockets() -> Iterator[socket.socket]:
    """A duplicate of every TCP socket that this process has open."""
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
