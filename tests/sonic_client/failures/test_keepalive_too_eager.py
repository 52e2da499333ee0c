"""Keepalive too eager: servers hang up on who tests the connection too often."""

import socket
import struct
import threading
from contextlib import suppress

import pytest

from sonic_client import ChannelConfig, ConfigError, ServerConfig, TransientError
from sonic_client.transport import transport_for
from sonic_client.transport.grpc_channel import channel_options

SERVERS_FLOOR_S = 300.0  # gRPC's default for GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL

SETTINGS, GOAWAY = 4, 7
ENHANCE_YOUR_CALM = 11


def frame(kind, payload=b""):
    """An HTTP/2 frame of the connection, RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0, 0, 0, 0, 0]) + payload


@pytest.fixture
def calming_server():
    """The address of a server that answers every connection with too_many_pings."""
    listener = socket.create_server(("127.0.0.1", 0))
    goaway = struct.pack(">II", 2**31 - 1, ENHANCE_YOUR_CALM) + b"too_many_pings"

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                connection.recv(65536)
                connection.sendall(frame(SETTINGS))
                connection.recv(65536)
                connection.sendall(frame(GOAWAY, goaway))

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"grpc://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_the_default_keeps_clear_of_the_servers_floor():
    options = dict(channel_options(ServerConfig(url="h:1")))

    assert options["grpc.keepalive_time_ms"] > SERVERS_FLOOR_S * 1000
    assert not options["grpc.keepalive_permit_without_calls"]


def test_a_keepalive_that_no_server_bears_is_refused():
    with pytest.raises(ConfigError, match="keepalive_s must be at least 10 s"):
        ChannelConfig(keepalive_s=1.0)


async def test_being_told_to_calm_down_is_worth_another_try(calming_server):
    transport = transport_for(ServerConfig(url=calming_server))
    await transport.open()

    with pytest.raises(TransientError) as error:
        await transport.probe(timeout_s=10.0)
    await transport.close()

    assert error.value.status == "UNAVAILABLE"


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("balancing", ["round_robin", "pick_first"])
def test_the_message_limits_stay_whatever_else_is_set(connections, balancing):
    channel = ChannelConfig(connections=connections, balancing=balancing)

    options = dict(channel_options(ServerConfig(url="h:1", channel=channel)))

    assert options["grpc.max_send_message_length"] == 2**31 - 1
    assert options["grpc.max_receive_message_length"] == 2**31 - 1
    assert balancing in options["grpc.service_config"]
