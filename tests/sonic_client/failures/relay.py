"""Relays that end connections when a request arrives, as proxies do by their limits."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

# Frames of HTTP/2 and their types: RFC 9113, sections 3.4 and 6.
PREFACE_BYTES = 24
HEADER_BYTES = 9
HEADERS = 1
GOAWAY = 7
NO_ERROR = 0
ENHANCE_YOUR_CALM = 11


def goaway(code, text=b""):
    """A GOAWAY that names no last stream: the requests may have been processed."""
    payload = struct.pack(">II", 2**31 - 1, code) + text
    return struct.pack(">I", len(payload))[1:] + bytes([GOAWAY, *[0] * 5]) + payload


def read_exactly(connection, n_bytes):
    """Return `n_bytes` bytes; fewer at the end of the stream."""
    parts = []
    while n_bytes and (part := connection.recv(n_bytes)):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


class Relay:
    """Passes a server's HTTP/1 connections on, and ends some; a context manager.

    Parameters
    ----------
    url : str
        The server's.
    ends_at : callable
        Whether the connection ends when a request arrives, given its number on the
        connection and its number of all requests, both from 1.
    last_words : bytes
        Sent to the client before it is hung up on, with all that is in flight.

    Attributes
    ----------
    n_ended : int
        Connections ended so far.
    """

    def __init__(
        self, url: str, ends_at: Callable[[int, int], bool], last_words: bytes = b""
    ) -> None:
        scheme, _, address = url.partition("://")
        host, _, port = address.rpartition(":")
        self._server, self._ends_at = (host, int(port)), ends_at
        self._last_words = last_words
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets = []
        self._n_requests = self.n_ended = 0
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info):
        _hang_up(self._listener, *self._sockets)
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            for relay in (self._pass_requests, self._pass_answers):
                thread = threading.Thread(target=_relayed, args=(relay, client, server))
                self._threads.append(thread)
                thread.start()

    def _pass_requests(self, client, server):
        n_requests = 0
        while content := client.recv(65536):
            for _ in range(content.count(b" HTTP/1.1\r\n")):
                n_requests += 1
                if self._is_last(n_requests):
                    return
            server.sendall(content)

    def _pass_answers(self, client, server):
        while content := server.recv(65536):
            client.sendall(content)

    def _is_last(self, number):
        with self._lock:
            self._n_requests += 1
            is_last = self._ends_at(number, self._n_requests)
            self.n_ended += is_last
        return is_last


class GrpcRelay(Relay):
    """The same for gRPC's connections, frame by frame."""

    def _pass_requests(self, client, server):
        n_requests = 0
        server.sendall(read_exactly(client, PREFACE_BYTES))
        while header := read_exactly(client, HEADER_BYTES):
            if header[3] == HEADERS:
                n_requests += 1
                if self._is_last(n_requests):
                    with self._lock:
                        client.sendall(self._last_words)
                    return
            size = int.from_bytes(header[:3], "big")
            server.sendall(header + read_exactly(client, size))

    def _pass_answers(self, client, server):
        while header := read_exactly(server, HEADER_BYTES):
            content = read_exactly(server, int.from_bytes(header[:3], "big"))
            with self._lock:  # the last words stand between two frames
                client.sendall(header + content)


def _relayed(relay, client, server):
    with suppress(OSError):
        relay(client, server)
    _hang_up(client, server)


def _hang_up(*sockets):
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
