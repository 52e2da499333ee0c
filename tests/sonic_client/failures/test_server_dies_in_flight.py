"""A server dies with calls in flight: each is sent elsewhere, none lost or doubled."""

import threading

import pytest

from mock_server import FaultPlan
from sonic_client import Client


def test_every_request_in_flight_is_sent_to_another_server(
    serve, config_for, requests_of, assert_whole
):
    arrived = threading.Event()

    def hold(arrival):
        arrived.set()
        threading.Event().wait(0.05)

    dying = serve(FaultPlan().on().call(hold))
    sound = serve(FaultPlan().on().delay(0.005))
    killer = threading.Thread(target=lambda: (arrived.wait(10.0), dying.stop()))
    killer.start()

    with Client(config_for(dying, sound)) as client:
        outcomes = list(client.map(requests_of(200)))
        statistics = client.statistics()
    killer.join()

    assert_whole(outcomes, 200)
    assert statistics.events == 200
    assert statistics.failed_events == 0
    assert statistics.servers[sound.url] > 0


@pytest.mark.parametrize("after_model", [False, True], ids=["before", "after"])
def test_a_connection_that_breaks_costs_no_event(
    serve, config_for, requests_of, assert_whole, after_model
):
    """Also where the model has run already: the lost answer is asked for again."""
    faults = FaultPlan().on(5, 40).drop_connection(after_model=after_model)

    with Client(config_for(serve(faults), serve())) as client:
        outcomes = list(client.map(requests_of(100)))

    assert_whole(outcomes, 100)
