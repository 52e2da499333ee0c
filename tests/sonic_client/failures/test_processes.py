"""Clients and errors in other processes, event loops and threads."""

import asyncio
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    AsyncClient,
    Client,
    ClientClosedError,
    ClientConfig,
    ModelNotFoundError,
    ServerConfig,
    TlsConfig,
)

ROOT = Path(__file__).parents[3]
X = [Served("X", "FP32", (-1,))]
INPUTS = {"X": np.ones(3, np.float32)}
OUTPUTS = [1.0, 1.0, 1.0]


@pytest.fixture(scope="module")
def url():
    with MockServer([Model("echo", X, X, dict)]) as server:
        yield server.url


@pytest.fixture
def config(url):
    server = ServerConfig(url=url, headers={"x-group": "it"}, token="t")
    return ClientConfig(servers=server, model_name="echo")


@pytest.fixture(scope="module")
def worker():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def use(client):
    with client:
        return client.infer(INPUTS)["X"].tolist()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_pickles_with_its_configuration(config, kind):
    copy = pickle.loads(pickle.dumps(kind(config)))

    assert copy.config == config


def test_a_server_with_all_its_settings_pickles(tmp_path):
    server = ServerConfig(
        url="grpcs://h:1",
        headers={"X-Group": "it"},
        token_file=tmp_path / "token",
        tls=TlsConfig(roots=tmp_path / "roots.pem"),
        compression="gzip",
        shared_memory="auto",
    )

    assert pickle.loads(pickle.dumps(server)) == server


def test_an_open_client_arrives_unopened_in_a_worker_process(config, worker):
    with Client(config) as client:
        client.infer(INPUTS)

        assert use(pickle.loads(pickle.dumps(client))) == OUTPUTS
        assert worker.submit(use, client).result() == OUTPUTS
        assert client.infer(INPUTS)["X"].tolist() == OUTPUTS


def test_an_error_in_a_worker_process_arrives_complete(config, worker):
    unknown = ClientConfig(servers=config.servers, model_name="nix")

    with pytest.raises(ModelNotFoundError, match="'nix' is not found") as error:
        worker.submit(use, Client(unknown)).result()

    assert error.value.server == config.servers[0].url


# One program forks in all these ways, first before any client is opened. It prints a
# line about every child, and one about the parent after it.
FORKS = """
import asyncio, os, sys
import numpy as np
from sonic_client import AsyncClient, Client, ClientConfig, ForkedProcessError, Request

config = ClientConfig(servers=sys.argv[1], model_name="echo")
inputs = {"X": np.ones(3, np.float32)}

def in_child(function):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            print(function())
        except ForkedProcessError as error:
            print("ForkedProcessError", error.pid == os.getppid(), error)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def infer(client):
    return client.infer(inputs)["X"].tolist()

def fresh():
    with Client(config) as client:
        return infer(client)

def unopened():
    with client:
        return infer(client)

client = Client(config)
in_child(unopened)
in_child(fresh)
print(unopened())

in_child(fresh)
print(fresh())

with Client(config) as client:
    infer(client)
    for use in (
        lambda: infer(client),
        lambda: list(client.map([Request(1, inputs)])),
        fresh,
        lambda: client.__exit__(None, None, None),
    ):
        in_child(use)
        print(infer(client))

async def main():
    async with AsyncClient(config) as client:
        await client.infer(inputs)
        def use():
            task = client.infer(inputs)
            try:
                task.send(None)
            except StopIteration as answered:
                return answered.value
        in_child(use)
        print((await client.infer(inputs))["X"].tolist())
asyncio.run(main())
"""

WORKS, REFUSED = str(OUTPUTS), "ForkedProcessError True"


@pytest.fixture(scope="module")
def forks(url):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, url],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=50.0,  # a client that hangs would do so for ever
    )
    return done.stdout.splitlines()


def test_clients_that_are_opened_in_a_fork_before_any_other_work(forks):
    assert forks[:3] == [WORKS] * 3


FORKED = (
    "a fresh client after one that was closed",
    "the blocking client",
    "its map",
    "a fresh client beside an open one",
    "leaving the blocking client",
    "the asynchronous client",
)


@pytest.mark.parametrize("what", FORKED)
def test_a_client_that_is_used_in_a_fork_names_the_remedy(forks, what):
    first = 3 + 2 * FORKED.index(what)
    in_child, in_parent = forks[first : first + 2]

    if what == "leaving the blocking client":
        assert in_child == "None"
    else:
        assert in_child.startswith(REFUSED)
        assert "spawn" in in_child
    assert in_parent == WORKS  # the parent goes on


async def infer_once(config):
    async with AsyncClient(config) as client:
        return (await client.infer(INPUTS))["X"].tolist()


def test_event_loops_one_after_the_other_and_in_threads_have_their_own_clients(config):
    answers = []

    def run():
        for _ in range(3):
            answers.append(asyncio.run(infer_once(config)))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)

    assert answers == [OUTPUTS] * 12


def test_the_blocking_client_may_be_used_from_a_running_loop(config):
    async def main(client):
        return await asyncio.to_thread(client.infer, INPUTS)

    with Client(config) as client:
        answers = [asyncio.run(main(client))["X"].tolist() for _ in range(2)]

    assert answers == [OUTPUTS] * 2


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
