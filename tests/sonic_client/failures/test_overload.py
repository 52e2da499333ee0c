"""Servers without capacity: waited for, and not taken for dead."""

import threading

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    DeadlineExceededError,
    Observer,
    ServerOverloadedError,
    WindowConfig,
)

QUEUE_FULL = ("UNAVAILABLE", "in ensemble 'label', Exceeds maximum queue size")
THROTTLED = ("RESOURCE_EXHAUSTED", "too many requests")


class States(Observer):
    def __init__(self):
        self.states = []

    def server_changed(self, event):
        self.states.append(event.state)


@pytest.mark.parametrize("refusal", [QUEUE_FULL, THROTTLED], ids=["queue", "throttled"])
def test_an_overload_that_ends_is_waited_for(
    serve, config_for, requests_of, assert_whole, refusal
):
    server, states = serve(FaultPlan().on(1, 2).refuse(*refusal)), States()

    with Client(config_for(server), observers=[states]) as client:
        assert_whole(list(client.map(requests_of(5))), 5)

    assert states.states[:2] == ["saturated", "healthy"]


@pytest.mark.parametrize("refusal", [QUEUE_FULL, THROTTLED], ids=["queue", "throttled"])
def test_an_overload_that_lasts_is_named_and_the_server_is_not_left(
    serve, config_for, requests_of, refusal
):
    server, states = serve(FaultPlan().on().refuse(*refusal)), States()
    config = config_for(server, deadline_s=0.2)

    with Client(config, observers=[states]) as client:
        failures = list(client.map(requests_of(10)))

    for failure in failures:
        assert isinstance(failure.error, DeadlineExceededError)
        assert isinstance(failure.error.failures[-1], ServerOverloadedError)
        assert refusal[1] in str(failure.error)
    assert states.states == ["saturated"]


def test_a_server_with_capacity_is_asked_meanwhile(
    serve, config_for, requests_of, assert_whole
):
    is_full = threading.Event()
    full = serve(FaultPlan().on(when=lambda _: is_full.is_set()).refuse(*THROTTLED))
    # So long that the other one is the only one for the rest of the test.
    retry = {"first_wait_s": 600.0, "max_wait_s": 600.0}

    with Client(config_for(full, serve(), retry=retry)) as client:
        while len(client.statistics().servers) < 2:  # both are known
            list(client.map(requests_of(2)))
        is_full.set()
        outcomes = list(client.map(requests_of(50)))
        tries = client.statistics().tries

    assert_whole(outcomes, 50)
    # Only those that were in flight when the first refusal came.
    assert tries.get("RESOURCE_EXHAUSTED", 0) <= WindowConfig().max_requests
