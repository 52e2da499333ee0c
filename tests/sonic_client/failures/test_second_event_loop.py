"""A second `asyncio.run`, another thread: each has clients of its own."""

import asyncio
import threading

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import AsyncClient, Client, ClientClosedError, ClientConfig

X = [Served("X", "FP32", (-1,))]
INPUTS = {"X": np.ones(3, np.float32)}


@pytest.fixture
def config():
    with MockServer([Model("echo", X, X, dict)]) as server:
        yield ClientConfig(servers=server.url, model_name="echo")


async def infer(config):
    async with AsyncClient(config) as client:
        return (await client.infer(INPUTS))["X"].tolist()


def test_every_asyncio_run_opens_its_own_client(config):
    answers = [asyncio.run(infer(config)) for _ in range(3)]

    assert answers == [[1.0, 1.0, 1.0]] * 3


def test_loops_in_several_threads_do_not_disturb_one_another(config):
    answers = []

    def run():
        for _ in range(5):
            answers.append(asyncio.run(infer(config)))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)

    assert answers == [[1.0, 1.0, 1.0]] * 20


def test_the_blocking_client_may_be_used_from_a_running_loop(config):
    async def main(client):
        return await asyncio.to_thread(client.infer, INPUTS)

    with Client(config) as client:
        answers = [asyncio.run(main(client))["X"].tolist() for _ in range(2)]

    assert answers == [[1.0, 1.0, 1.0]] * 2


def test_a_client_of_another_loop_is_refused_and_not_waited_for(config):
    async def use(client):
        with pytest.raises(ClientClosedError, match="open one in each"):
            await client.infer(INPUTS)

    async def open_and_lend():
        async with AsyncClient(config) as client:
            await asyncio.to_thread(lambda: asyncio.run(use(client)))

    asyncio.run(open_and_lend())


def test_a_client_left_open_by_the_first_run_is_closed_in_the_second(config):
    client = AsyncClient(config)
    asyncio.run(client.__aenter__())

    with pytest.raises(ClientClosedError):
        asyncio.run(client.infer(INPUTS))
