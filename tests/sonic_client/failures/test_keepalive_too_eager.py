"""Keepalive too eager: a server hangs up on clients that ping it too often."""

import socket
import struct
import threading
from contextlib import suppress

import pytest

from sonic_client import ChannelConfig, Client, ConfigError, ServerConfig
from sonic_client.transport.grpc import channel_options

SERVERS_FLOOR_S = 300.0  # gRPC's default for GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL

GOAWAY = 7
ENHANCE_YOUR_CALM = 11
TOO_MANY_PINGS = struct.pack(">II", 2**31 - 1, ENHANCE_YOUR_CALM) + b"too_many_pings"


def frame(kind, payload=b""):
    """An HTTP/2 frame of the connection, RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0, 0, 0, 0, 0]) + payload


def test_the_default_keeps_clear_of_the_servers_floor():
    options = dict(channel_options(ServerConfig(url="h:1")))

    assert options["grpc.keepalive_time_ms"] > SERVERS_FLOOR_S * 1000
    assert not options["grpc.keepalive_permit_without_calls"]


def test_a_keepalive_that_no_server_bears_is_refused():
    with pytest.raises(ConfigError, match="keepalive_s must be at least 10 s"):
        ChannelConfig(keepalive_s=1.0)


def read_exactly(connection, n_bytes):
    """Return `n_bytes` bytes; fewer at the end of the stream."""
    parts = []
    while n_bytes and (part := connection.recv(n_bytes)):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


class CalmingRelay:
    """Passes a server's connections on; the first few end with too_many_pings.

    Each of those is told so in the middle of its answers, and then hung up on, with
    whatever is in flight.
    """

    def __init__(self, url, *, n_hang_ups, frames_each):
        host, _, port = url.removeprefix("grpc://").rpartition(":")
        self._server = host, int(port)
        self._n_left, self._frames_each = n_hang_ups, frames_each
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets = []
        self.n_hung_up = 0
        self.url = f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info):
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            self._n_left -= 1
            for relay in (self._up, self._down):
                thread = threading.Thread(
                    target=relay, args=(client, server, self._n_left >= 0)
                )
                self._threads.append(thread)
                thread.start()

    def _up(self, client, server, _):
        with suppress(OSError):
            while content := client.recv(65536):
                server.sendall(content)
        self._hang_up(client, server)

    def _down(self, client, server, is_to_calm):
        n_frames = 0
        with suppress(OSError):
            while header := read_exactly(server, 9):
                size = int.from_bytes(header[:3], "big")
                client.sendall(header + read_exactly(server, size))
                n_frames += 1
                if is_to_calm and n_frames == self._frames_each:
                    client.sendall(frame(GOAWAY, TOO_MANY_PINGS))
                    self.n_hung_up += 1
                    break
        self._hang_up(client, server)

    def _hang_up(self, *sockets):
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def test_a_server_that_hangs_up_for_too_many_pings_costs_no_event(
    serve, config_for, requests_of, assert_whole
):
    relay = CalmingRelay(serve().url, n_hang_ups=2, frames_each=40)
    with (
        relay,
        Client(config_for(relay.url, retry={"allowed_tries": 100})) as client,
    ):
        assert_whole(list(client.map(requests_of(100))), 100)

    assert relay.n_hung_up == 2


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("balancing", ["round_robin", "pick_first"])
def test_the_message_limits_stay_whatever_else_is_set(connections, balancing):
    channel = ChannelConfig(connections=connections, balancing=balancing)

    options = dict(channel_options(ServerConfig(url="h:1", channel=channel)))

    assert options["grpc.max_send_message_length"] == 2**31 - 1
    assert options["grpc.max_receive_message_length"] == 2**31 - 1
    assert balancing in options["grpc.service_config"]
