"""Faults of one server: others answer, and the event is not to blame."""

from dataclasses import replace

import numpy as np
import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    HealthConfig,
    Observer,
    ServerConfig,
)

FAULTS = {
    "stub died": ("INTERNAL", "Stub process 'label_0_0' is not healthy."),
    "no memory": ("INTERNAL", "OutOfMemoryError: CUDA out of memory."),
    "unknown": ("UNKNOWN", "Exception calling application"),
    "data loss": ("DATA_LOSS", "truncated"),
}


def label_rows(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


class States(Observer):
    def __init__(self):
        self.states = []

    def server_changed(self, event):
        self.states.append((event.server, event.state))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_another_server_answers_and_the_sick_one_is_left_alone(
    serve, config_for, requests_of, assert_whole, fault
):
    arrivals, states = [], States()
    sick = serve(FaultPlan().on().call(arrivals.append).on().refuse(*fault))
    first = ServerConfig(url=sick.url, preferred=True)  # it would get all requests
    config = replace(
        config_for(first, serve()),
        health=HealthConfig(first_pause_s=60.0, max_pause_s=60.0),
    )

    with Client(config, observers=[states]) as client:
        assert_whole(list(client.map(requests_of(200))), 200)

    assert (sick.url, "open") in states.states
    # Those that were in flight, and those after which it was left alone.
    most = config.window.max_requests + config.health.open_after_failures
    assert len(arrivals) <= most


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_fallback_answers_where_there_is_no_other_server(
    serve, config_for, requests_of, assert_whole, fault
):
    sick = serve(FaultPlan().on().refuse(*fault))

    with Client(config_for(sick), fallback=label_rows) as client:
        outcomes = list(client.map(requests_of(50)))

    assert_whole(outcomes, 50)
    assert all(outcome.is_fallback for outcome in outcomes)


def test_the_same_server_is_asked_again_after_a_wait_if_there_is_no_other(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(1, 2).refuse(*FAULTS["stub died"]))

    with Client(config_for(server)) as client:
        assert_whole(list(client.map(requests_of(1))), 1)
