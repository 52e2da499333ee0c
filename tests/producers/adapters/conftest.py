"""A mock server in a process of its own, which says what it was asked."""

import json
import subprocess
import sys

import pytest

SERVER = """
import json, sys
import numpy as np
from mock_server import MockServer, Model, ModelError, TensorSpec

shapes = []

def neighbours(tensors):
    x = tensors["X"]
    shapes.append(x.shape)
    if (x == 13).any():
        raise ModelError("INVALID_ARGUMENT", "thirteen")
    # Of the whole cloud: what comes out of a part of it is another thing.
    return {"Y": x.sum(axis=1) - x.sum(), "N": np.arange(len(x))}

def rows(tensors):
    x = tensors["X"]
    shapes.append(x.shape)
    if (x == 13).any():
        raise ModelError("INVALID_ARGUMENT", "thirteen")
    return {"Y": 2 * x}

x = TensorSpec("X", "FP32", (-1, 3))
y, n = TensorSpec("Y", "FP32", (-1,)), TensorSpec("N", "INT64", (-1,))
row = TensorSpec("X", "FP32", (3,))
models = [
    Model("cloud", [x], [y, n], neighbours),
    Model("batch", [row], [TensorSpec("Y", "FP32", (3,))], rows, max_batch_size=8),
]
with MockServer(models) as server:
    print(server.url.removeprefix("grpc://"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(shapes), flush=True)
        shapes.clear()
"""


class OwnProcess:
    """A mock server in a process of its own."""

    def __init__(self, process):
        self._process = process
        self.address = process.stdout.readline().strip()

    def url(self, model):
        return f"triton+grpc://{self.address}/{model}/1"

    def shapes(self):
        """Shapes of the inputs since this was asked last; sorted."""
        self._process.stdin.write("shapes\n")
        self._process.stdin.flush()
        return sorted(map(tuple, json.loads(self._process.stdout.readline())))


@pytest.fixture(scope="module")
def own_process():
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield OwnProcess(process)
        process.stdin.close()


@pytest.fixture
def server(own_process):
    """The server, which was asked nothing yet."""
    own_process.shapes()
    return own_process
