"""Planned ends of connections: they cost no try, and say nothing about a server."""

import pytest

from mock_server import MockServer
from sonic_client import (
    Client,
    ConnectionEndedError,
    Failure,
    ServerUnreachableError,
)

from .relay import NO_ERROR, GrpcRelay, Relay, goaway

# More than the calls that open a client.
N_FIRST_CALLS = 20


def after_first_calls(_, n_requests):
    """End every connection, but let clients open."""
    return n_requests > N_FIRST_CALLS


@pytest.fixture
def http_server(label_model):
    with MockServer([label_model], http_port=0) as server:
        yield server


def assert_undisturbed(client, n_requests):
    """Each request took one try, and no server was left alone."""
    statistics = client.statistics()
    assert statistics.tries == {"OK": n_requests}
    assert not any("open" in change for change in statistics.server_changes)


def test_an_orderly_goaway_costs_no_try(serve, config_for, requests_of, assert_whole):
    relay = GrpcRelay(
        serve().url, lambda _, n_requests: n_requests % 20 == 0, goaway(NO_ERROR)
    )
    with relay, Client(config_for(relay.url, retry={"allowed_tries": 1})) as client:
        assert_whole(list(client.map(requests_of(100))), 100)

    assert_undisturbed(client, 100)
    assert relay.n_ended >= 5


def test_the_end_of_a_kept_http_connection_costs_no_try(
    http_server, config_for, requests_of, assert_whole
):
    relay = Relay(http_server.http_url, lambda number, _: number == 4)
    with relay, Client(config_for(relay.url, retry={"allowed_tries": 1})) as client:
        assert_whole(list(client.map(requests_of(100))), 100)

    assert_undisturbed(client, 100)
    assert relay.n_ended >= 5


def first_cause(config, requests):
    """The error of the first try that failed a request."""
    with Client(config) as client:
        failures = (each for each in client.map(requests) if isinstance(each, Failure))
        return next(failures).error.__cause__


def test_the_end_of_a_new_http_connection_is_a_failed_try(
    http_server, config_for, requests_of
):
    with Relay(http_server.http_url, after_first_calls) as relay:
        config = config_for(relay.url, retry={"allowed_tries": 1})
        error = first_cause(config, requests_of(2 * N_FIRST_CALLS))

    assert type(error) is ServerUnreachableError


def test_a_server_that_ends_every_connection_fails_the_try(
    serve, config_for, requests_of
):
    with GrpcRelay(serve().url, after_first_calls, goaway(NO_ERROR)) as relay:
        config = config_for(relay.url, retry={"allowed_tries": 1})
        error = first_cause(config, requests_of(2 * N_FIRST_CALLS))

    assert isinstance(error, ConnectionEndedError)
    assert str(error).endswith(
        "(11 times in a row: raise the server's or its proxy's limit of requests, or "
        "of seconds, for one connection)"
    )


def test_other_servers_answer_for_one_that_ends_every_connection(
    serve, config_for, requests_of, assert_whole
):
    relay = GrpcRelay(serve().url, after_first_calls, goaway(NO_ERROR))
    with relay, Client(config_for(relay.url, serve())) as client:
        assert_whole(list(client.map(requests_of(50))), 50)
