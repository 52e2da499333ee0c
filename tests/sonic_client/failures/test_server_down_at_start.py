"""Server down at start: others or the fallback, else one error with every URL."""

import pytest

from mock_server import FaultPlan, MockServer
from sonic_client import Client, NoServerError, ServerConfig, ServerUnreachableError


def test_another_server_is_used(
    serve, config_for, requests_of, assert_whole, free_address
):
    server = serve()

    with Client(config_for(free_address, server)) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert {outcome.server for outcome in outcomes} == {server.url}


def test_a_preferred_server_that_is_down_lets_the_others_be_asked(
    serve, config_for, requests_of, assert_whole, free_address
):
    config = config_for(ServerConfig(url=free_address, preferred=True), serve())

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(5))), 5)


def test_the_fallback_is_used(
    config_for, requests_of, assert_whole, free_address, label_model
):
    fallback = MockServer([label_model])

    with Client(config_for(free_address), fallback=fallback) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert all(outcome.is_fallback for outcome in outcomes)
    with pytest.raises(RuntimeError):
        _ = fallback.url  # stopped with the client


def test_one_error_names_every_url_and_what_is_wrong_there(
    serve, config_for, free_address, black_hole
):
    refusing = serve(FaultPlan().on(rpc=None).refuse("UNAVAILABLE", "not today"))
    config = config_for(free_address, black_hole, refusing, startup_timeout_s=1.0)

    with pytest.raises(NoServerError) as caught:
        Client(config).__enter__()

    text = str(caught.value)
    for address in (free_address, black_hole, refusing.url):
        assert address in text
    assert "not today" in text
    assert list(caught.value.last_errors) == [each.name for each in config.servers]


def test_the_only_server_is_named_by_its_own_error(config_for, free_address):
    with pytest.raises(ServerUnreachableError, match=free_address):
        Client(config_for(free_address)).__enter__()


def test_a_server_that_comes_up_in_time_is_waited_for(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().start_slowly(requests=3))

    with Client(config_for(server)) as client:
        assert_whole(list(client.map(requests_of(3))), 3)
