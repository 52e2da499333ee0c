"""Rolling restart: the server's own cancel is repeated, ours is not."""

import asyncio
import threading

import numpy as np
import pytest

from mock_server import FaultPlan
from sonic_client import AsyncClient, Client


@pytest.mark.parametrize(
    "refusal",
    [
        ("CANCELLED", "Cancelling all calls"),
        ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped"),
        ("UNAVAILABLE", "shutting down"),
    ],
)
def test_requests_that_a_stopping_server_refuses_are_repeated(
    serve, config_for, requests_of, assert_whole, refusal
):
    stopping = serve(FaultPlan().on(1, 2).refuse(*refusal))

    with Client(config_for(stopping)) as client:
        outcomes = list(client.map(requests_of(5)))
        tries = client.statistics().tries

    assert_whole(outcomes, 5)
    assert tries == {refusal[0]: 2, "OK": 5}


def test_a_server_that_restarts_is_waited_for(
    serve, config_for, requests_of, assert_whole
):
    restarting = serve(FaultPlan().on(20).restart_server(down_s=0.3))

    with Client(config_for(restarting)) as client:
        assert_whole(list(client.map(requests_of(60))), 60)


def test_servers_restarted_one_after_the_other_lose_nothing(
    serve, config_for, requests_of, assert_whole
):
    servers = [
        serve(FaultPlan().on(number).restart_server(down_s=0.2).on().delay(0.002))
        for number in (10, 40, 70)
    ]

    with Client(config_for(*servers)) as client:
        assert_whole(list(client.map(requests_of(300))), 300)


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
