"""Calls that get no answer: sent again, elsewhere, and answered exactly once."""

import asyncio
import threading

import numpy as np
import pytest

from mock_server import FaultPlan
from sonic_client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    Request,
    ServerConfig,
)


def hanging():
    return FaultPlan().on().hang()


def preferred(server):
    return ServerConfig(url=server.url, preferred=True)


def test_requests_in_flight_at_a_server_that_dies_are_sent_to_another(
    serve, config_for, requests_of, assert_whole
):
    arrived = threading.Event()

    def hold(arrival):
        arrived.set()
        threading.Event().wait(0.05)

    dying, sound = serve(FaultPlan().on().call(hold)), serve()
    killer = threading.Thread(target=lambda: (arrived.wait(10.0), dying.stop()))
    killer.start()

    with Client(config_for(preferred(dying), sound)) as client:
        outcomes = list(client.map(requests_of(100)))
        statistics = client.statistics()
    killer.join()

    assert_whole(outcomes, 100)
    assert (statistics.events, statistics.failed_events) == (100, 0)
    assert statistics.servers[sound.url] > 0


@pytest.mark.parametrize("after_model", [False, True], ids=["before", "after"])
def test_a_connection_that_breaks_loses_and_doubles_no_event(
    serve, config_for, requests_of, assert_whole, after_model
):
    """Also where the model has run already: the lost answer is asked for again."""
    faults = FaultPlan().on(5, 40).drop_connection(after_model=after_model)

    with Client(config_for(serve(faults), serve())) as client:
        assert_whole(list(client.map(requests_of(100))), 100)
        statistics = client.statistics()

    assert (statistics.events, statistics.failed_events) == (100, 0)
    assert statistics.points == 200


@pytest.mark.parametrize(
    "refusal",
    [
        ("CANCELLED", "Cancelling all calls"),
        ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped"),
        ("UNAVAILABLE", "shutting down"),
    ],
)
def test_requests_that_a_stopping_server_refuses_are_sent_again(
    serve, config_for, requests_of, assert_whole, refusal
):
    stopping = serve(FaultPlan().on(1, 2).refuse(*refusal))

    with Client(config_for(stopping)) as client:
        outcomes = list(client.map(requests_of(5)))
        tries = client.statistics().tries

    assert_whole(outcomes, 5)
    assert tries == {refusal[0]: 2, "OK": 5}


@pytest.mark.parametrize("n_servers", [1, 3])
def test_servers_restarted_one_after_the_other_lose_nothing(
    serve, config_for, requests_of, assert_whole, n_servers
):
    servers = [
        serve(FaultPlan().on(number).restart_server(down_s=0.2).on().delay(0.002))
        for number in (10, 40, 70)[:n_servers]
    ]

    with Client(config_for(*servers)) as client:
        assert_whole(list(client.map(requests_of(200))), 200)


async def test_a_call_that_the_caller_cancels_is_not_repeated(serve, config_for):
    arrivals, arrived = [], threading.Event()

    def note(arrival):
        arrivals.append(arrival.number)
        arrived.set()

    server = serve(FaultPlan().on().call(note).on().hang())

    async with AsyncClient(config_for(server)) as client:
        task = asyncio.create_task(
            client.infer({"FEATURES": np.zeros((1, 3), np.float32)})
        )
        await asyncio.to_thread(arrived.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.statistics().tries == {"LOCALLY_CANCELLED": 1}

    assert arrivals == [1]


@pytest.mark.parametrize(
    "settings",
    [
        {"retry": {"try_timeout_s": 0.3, "same_server_retries": 5}},
        {"deadline_s": 1.0},  # without a limit, a try leaves half of the time to others
    ],
    ids=["its own limit", "half of the time"],
)
def test_a_try_without_an_answer_ends_and_another_server_is_asked(
    serve, config_for, requests_of, assert_whole, settings
):
    silent, sound = serve(hanging()), serve()

    with Client(config_for(preferred(silent), sound, **settings)) as client:
        outcomes = list(client.map(requests_of(1)))

    assert_whole(outcomes, 1)
    assert outcomes[0].server == sound.url
    # The silent one is asked again only while the other is not connected yet.
    assert 2 <= outcomes[0].tries <= 4


@pytest.mark.parametrize("retry", [{}, {"try_timeout_s": 0.1, "allowed_tries": 99}])
def test_the_deadline_bounds_all_tries_together(serve, config_for, requests_of, retry):
    config = config_for(serve(hanging()), deadline_s=0.35, retry=retry)

    with Client(config) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, DeadlineExceededError)
    assert failure.tries <= 4


def test_a_reply_that_comes_too_late_answers_nothing(
    serve, config_for, requests_of, assert_whole
):
    """The server computes on; its request has another answer by then."""
    first_may_go_on, n_arrivals = threading.Event(), 0

    def hold_the_first(arrival):
        nonlocal n_arrivals
        n_arrivals += 1
        if n_arrivals == 1:
            first_may_go_on.wait(10.0)

    server = serve(FaultPlan().on().call(hold_the_first))

    with Client(config_for(server, retry={"try_timeout_s": 0.2})) as client:
        outcomes = list(client.map(requests_of(1)))
        first_may_go_on.set()
        outcomes += client.map(requests_of(5)[1:])

    assert_whole(outcomes, 5)
    assert client.statistics().events == 5


@pytest.mark.parametrize("ordered", [True, False])
def test_answers_in_any_order_belong_to_their_requests(
    serve, config_for, requests_of, assert_whole, ordered
):
    servers = [
        serve(FaultPlan(seed=seed).on().delay(0.0, jitter_s=0.01)) for seed in range(3)
    ]

    with Client(config_for(*servers)) as client:
        outcomes = list(client.map(requests_of(100), ordered=ordered))

    outcomes.sort(key=lambda outcome: outcome.request_id)
    assert_whole(outcomes, 100)


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


@pytest.mark.parametrize("n_bytes", [12, 255 * 1024, 257 * 1024, 8 * 2**20])
def test_requests_of_any_size_are_tried_as_often(serve, config_for, n_bytes):
    """gRPC's own retry, which is off, would do so up to 256 KiB only."""
    arrivals = []
    plan = FaultPlan().on().call(arrivals.append)
    server = serve(plan.on(1, 2).refuse("UNAVAILABLE", "try later"))

    with Client(config_for(server, retry={"allowed_tries": 3})) as client:
        request = Request("7", {"FEATURES": np.zeros((n_bytes // 12, 3), np.float32)})
        (answer,) = client.map([request])

    assert answer.tries == len(arrivals) == 3
