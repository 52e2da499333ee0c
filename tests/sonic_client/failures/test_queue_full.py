"""Queue full: backoff, and the server is not taken for dead."""

import pytest

from mock_server import FaultPlan
from sonic_client import Client, ServerOverloadedError, TriesExhaustedError
from sonic_client.observer import Observer

FULL = "in ensemble 'label', Exceeds maximum queue size"


class States(Observer):
    def __init__(self):
        self.states = []

    def server_changed(self, event):
        self.states.append((event.server, event.state))


def test_a_full_queue_is_waited_for(serve, config_for, requests_of, assert_whole):
    server, states = serve(FaultPlan().on(1, 2).refuse("UNAVAILABLE", FULL)), States()

    with Client(config_for(server), observers=[states]) as client:
        assert_whole(list(client.map(requests_of(5))), 5)

    assert states.states[:2] == [(server.url, "saturated"), (server.url, "healthy")]


def test_a_server_with_a_full_queue_is_never_left_for_dead(
    serve, config_for, requests_of
):
    server, states = serve(FaultPlan().on().refuse("UNAVAILABLE", FULL)), States()

    with Client(config_for(server), observers=[states]) as client:
        failures = list(client.map(requests_of(10)))

    assert all(isinstance(each.error, TriesExhaustedError) for each in failures)
    assert states.states == [(server.url, "saturated")]


def test_a_server_with_room_is_asked_meanwhile(
    serve, config_for, requests_of, assert_whole
):
    full = serve(FaultPlan().on().refuse("RESOURCE_EXHAUSTED", "too many requests"))
    retry = {"first_wait_s": 1.0, "max_wait_s": 1.0}

    with Client(config_for(full, serve(), retry=retry)) as client:
        outcomes = list(client.map(requests_of(50)))
        tries = client.statistics().tries

    assert_whole(outcomes, 50)
    # Those that were on their way when the first refusal came, and few others.
    assert tries.get("RESOURCE_EXHAUSTED", 0) <= 20


def test_the_failure_says_that_it_was_overload(serve, config_for, requests_of):
    server = serve(FaultPlan().on().refuse("UNAVAILABLE", FULL))

    with Client(config_for(server, retry={"allowed_tries": 2})) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error.failures[-1], ServerOverloadedError)
    with pytest.raises(TriesExhaustedError, match="Exceeds maximum queue size"):
        raise failure.error
