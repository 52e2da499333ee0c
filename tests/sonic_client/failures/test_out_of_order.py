"""Duplicate or out-of-order replies: each request has its own answer, once."""

import threading

import pytest

from mock_server import FaultPlan
from sonic_client import Client


@pytest.mark.parametrize("ordered", [True, False])
def test_answers_in_any_order_belong_to_their_requests(
    serve, config_for, requests_of, assert_whole, ordered
):
    servers = [
        serve(FaultPlan(seed=seed).on().delay(0.0, jitter_s=0.02)) for seed in range(3)
    ]

    with Client(config_for(*servers)) as client:
        outcomes = list(client.map(requests_of(200), ordered=ordered))

    outcomes.sort(key=lambda outcome: outcome.request_id)
    assert_whole(outcomes, 200)


def test_a_request_that_was_tried_twice_has_one_outcome(
    serve, config_for, requests_of, assert_whole
):
    """Its first answer was computed, and lost on the way: the second one counts."""
    faults = FaultPlan().on(every=7).drop_connection(after_model=True)

    with Client(config_for(serve(faults), serve())) as client:
        assert_whole(list(client.map(requests_of(100))), 100)
        statistics = client.statistics()

    assert (statistics.events, statistics.failed_events) == (100, 0)
    assert statistics.points == 200


def test_threads_that_share_a_client_get_their_own_answers(
    serve, config_for, requests_of, assert_whole
):
    faults = FaultPlan(seed=1).on(share=0.1).refuse("UNAVAILABLE", "not now")
    outcomes = {}

    with Client(config_for(serve(faults), serve(faults))) as client:

        def run(name):
            outcomes[name] = list(client.map(requests_of(50)))

        threads = [threading.Thread(target=run, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)

    for name in range(4):
        assert_whole(outcomes[name], 50)
