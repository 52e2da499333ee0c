"""Fork after use: gRPC's threads and locks are not what they were."""

import subprocess
import sys
from pathlib import Path

import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served

ROOT = Path(__file__).parents[3]
X = [Served("X", "FP32", (-1,))]

# The parent says what happened in its child: its status, and what it printed before.
FORK = """
import asyncio, os, sys
import numpy as np
from sonic_client import AsyncClient, Client, ClientConfig, ForkedProcessError

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

def fresh():
    with Client(config) as client:
        return client.infer(inputs)["X"].tolist()
"""

USES = {
    "the blocking client": """
with Client(config) as client:
    client.infer(inputs)
    in_child(lambda: client.infer(inputs))
    print(client.infer(inputs)["X"].tolist())
""",
    "its map": """
from sonic_client import Request
with Client(config) as client:
    client.infer(inputs)
    in_child(lambda: list(client.map([Request(1, inputs)])))
    print(client.infer(inputs)["X"].tolist())
""",
    "the asynchronous client": """
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
""",
    "a fresh client after one that was closed": """
fresh()
in_child(fresh)
print(fresh())
""",
    "a fresh client beside an open one": """
with Client(config) as client:
    client.infer(inputs)
    in_child(fresh)
    print(client.infer(inputs)["X"].tolist())
""",
}


@pytest.fixture
def server():
    with MockServer([Model("echo", X, X, dict)]) as server:
        yield server


def output_of(program, url):
    done = subprocess.run(
        [sys.executable, "-c", FORK + program, url],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=50.0,  # what hangs would do so for ever
    )
    return done.stdout


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_a_client_that_is_used_in_a_fork_names_the_remedy(server, use):
    in_child, in_parent = output_of(use, server.url).splitlines()

    assert in_child.startswith("ForkedProcessError True")
    assert "spawn" in in_child
    assert in_parent == "[1.0, 1.0, 1.0]"  # the parent goes on


def test_leaving_the_client_in_a_fork_hangs_up_nobody(server):
    program = """
with Client(config) as client:
    in_child(lambda: client.__exit__(None, None, None))
    print(client.infer(inputs)["X"].tolist())
"""

    assert output_of(program, server.url).splitlines() == ["None", "[1.0, 1.0, 1.0]"]


def test_a_client_that_is_opened_in_a_fork_before_any_other_works(server):
    program = """
client = Client(config)
def use():
    with client:
        return client.infer(inputs)["X"].tolist()
for _ in range(3):
    in_child(use)
    in_child(fresh)
print(use())
"""

    assert output_of(program, server.url).splitlines() == ["[1.0, 1.0, 1.0]"] * 7
