"""Keepalive too eager: a server hangs up on clients that ping it too often."""

import pytest

from sonic_client import ChannelConfig, Client, ConfigError, ServerConfig
from sonic_client.transport.grpc import channel_options

from .relay import ENHANCE_YOUR_CALM, GrpcRelay, goaway

SERVERS_FLOOR_S = 300.0  # gRPC's default for GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL


def test_the_default_keeps_clear_of_the_servers_floor():
    options = dict(channel_options(ServerConfig(url="h:1")))

    assert options["grpc.keepalive_time_ms"] > SERVERS_FLOOR_S * 1000
    assert not options["grpc.keepalive_permit_without_calls"]


def test_a_keepalive_that_no_server_bears_is_refused():
    with pytest.raises(ConfigError, match="keepalive_s must be at least 10 s"):
        ChannelConfig(keepalive_s=1.0)


def test_a_server_that_hangs_up_for_too_many_pings_costs_no_event(
    serve, config_for, requests_of, assert_whole
):
    too_many_pings = goaway(ENHANCE_YOUR_CALM, b"too_many_pings")
    relay = GrpcRelay(serve().url, lambda _, n: n in {30, 60}, too_many_pings)
    with (
        relay,
        Client(config_for(relay.url, retry={"allowed_tries": 100})) as client,
    ):
        assert_whole(list(client.map(requests_of(100))), 100)

    assert relay.n_ended == 2


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("balancing", ["round_robin", "pick_first"])
def test_the_message_limits_stay_whatever_else_is_set(connections, balancing):
    channel = ChannelConfig(connections=connections, balancing=balancing)

    options = dict(channel_options(ServerConfig(url="h:1", channel=channel)))

    assert options["grpc.max_send_message_length"] == 2**31 - 1
    assert options["grpc.max_receive_message_length"] == 2**31 - 1
    assert balancing in options["grpc.service_config"]
