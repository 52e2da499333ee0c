"""HTTP on the gRPC port: a hint, and no retries spent on it."""

import pytest

from sonic_client import Client, WrongPortError


def test_the_error_says_which_port_is_which(config_for, http_port):
    address, _ = http_port

    with pytest.raises(WrongPortError, match=r":8001 is gRPC, :8000 HTTP") as caught:
        Client(config_for(address)).__enter__()
    assert address in str(caught.value)


def test_it_is_not_asked_again_and_again(config_for, http_port):
    address, connections = http_port

    with pytest.raises(WrongPortError):
        Client(config_for(address, retry={"allowed_tries": 50})).__enter__()

    assert len(connections) < 10


def test_other_servers_are_used(
    serve, config_for, requests_of, assert_whole, http_port
):
    address, _ = http_port

    with Client(config_for(address, serve())) as client:
        assert_whole(list(client.map(requests_of(3))), 3)
