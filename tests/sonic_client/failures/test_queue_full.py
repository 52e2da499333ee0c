"""Queue full: backoff, and the server is not taken for dead."""

import threading

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    ServerOverloadedError,
    TriesExhaustedError,
    WindowConfig,
)
from sonic_client.report.observer import Observer

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
    is_full = threading.Event()
    faults = FaultPlan().on(when=lambda _: is_full.is_set())
    full = serve(faults.refuse("RESOURCE_EXHAUSTED", "too many requests"))
    # So long that the one with room is the only one for the rest of the test.
    retry = {"first_wait_s": 600.0, "max_wait_s": 600.0}

    with Client(config_for(full, serve(), retry=retry)) as client:
        while len(client.statistics().servers) < 2:  # both are known
            list(client.map(requests_of(2)))
        is_full.set()
        outcomes = list(client.map(requests_of(50)))
        tries = client.statistics().tries

    assert_whole(outcomes, 50)
    # Only those that were on their way when the first refusal came.
    assert tries.get("RESOURCE_EXHAUSTED", 0) <= WindowConfig().max_requests


def test_the_failure_says_that_it_was_overload(serve, config_for, requests_of):
    server = serve(FaultPlan().on().refuse("UNAVAILABLE", FULL))

    with Client(config_for(server, retry={"allowed_tries": 2})) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error.failures[-1], ServerOverloadedError)
    with pytest.raises(TriesExhaustedError, match="Exceeds maximum queue size"):
        raise failure.error
