"""Our drop-in against coffea's own triton_wrapper: same model, same events.

    pytest benchmarks/test_coffea.py --benchmark-columns=median

`rows` is a model of batches: both clients are correct, and the time is compared.
`cloud` takes a whole cloud: coffea cuts and pads it, so its answers belong to others.
"""

import subprocess
import sys
import warnings

import awkward as ak
import numpy as np
import pytest

from producers.adapters.coffea import triton_wrapper

pytest.importorskip("coffea", reason="needs the extra coffea")

from coffea import ml_tools

SERVER = """
import sys, time
import numpy as np
from mock_server import MockServer, Model, TensorSpec

n_requests = 0

def counted(function):
    def call(tensors):
        global n_requests
        n_requests += 1
        time.sleep(0.005)
        return {"Y": function(tensors["X"])}
    return call

row, cloud = TensorSpec("X", "FP32", (3,)), TensorSpec("X", "FP32", (-1, 3))
y, ys = TensorSpec("Y", "FP32", (1,)), TensorSpec("Y", "FP32", (-1,))
sums = counted(lambda x: x.sum(axis=1, keepdims=True))
shares = counted(lambda x: x.sum(axis=1) / x.sum())
models = [
    Model("rows", [row], [y], sums, max_batch_size=64, instances=64),
    Model("cloud", [cloud], [ys], shares, instances=64),
]
with MockServer(models) as server:
    print(server.url.removeprefix("grpc://"), flush=True)
    for _ in sys.stdin:
        print(n_requests, flush=True)
        n_requests = 0
"""


class Requests:
    """A server in a process of its own, which counts its requests."""

    def __init__(self, process):
        self._process = process
        self.address = process.stdout.readline().strip()

    def since_last(self):
        """Requests since this was asked before."""
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def server():
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield Requests(process)
        process.stdin.close()


class Prepared:
    """The same preparation for both."""

    def prepare_awkward(self, x):
        """Ask for Y."""
        return (["Y"], {"X": x}), {}


class Ours(Prepared, triton_wrapper):
    """The drop-in."""


class Theirs(Prepared, ml_tools.triton_wrapper):
    """coffea's own."""


def points(n_rows):
    rng = np.random.default_rng(1)
    return ak.from_numpy(rng.uniform(1, 2, (n_rows, 3)).astype(np.float32))


@pytest.mark.parametrize("kind", [Theirs, Ours])
def test_rows_in_batches(benchmark, is_smoke, server, kind):
    rows = points(64 * (2 if is_smoke else 200) + 10)  # the last batch is not full
    wrapper = kind(f"triton+grpc://{server.address}/rows/1", {"ssl": False})
    wrapper(rows[:1])  # connected
    server.since_last()

    found = benchmark.pedantic(wrapper, (rows,), rounds=1, iterations=1)

    benchmark.extra_info["rows"] = len(rows)
    benchmark.extra_info["requests"] = server.since_last()
    np.testing.assert_allclose(
        ak.to_numpy(found["Y"])[:, 0], ak.sum(rows, axis=1), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("kind", "n_requests"), [(Theirs, 5), (Ours, 1)], ids=["Theirs", "Ours"]
)
def test_a_cloud_of_47_points(benchmark, server, kind, n_requests):
    cloud = points(47)
    wrapper = kind(f"triton+grpc://{server.address}/cloud/1", {"ssl": False})
    server.since_last()

    with warnings.catch_warnings():
        # coffea's own, that the model does not say how to cut its input.
        warnings.filterwarnings("ignore", "Batch size not set by model", UserWarning)
        found = benchmark.pedantic(wrapper, (cloud,), rounds=1, iterations=1)

    assert server.since_last() == n_requests
    share = ak.to_numpy(ak.sum(cloud, axis=1) / ak.sum(cloud))
    is_right = np.allclose(ak.to_numpy(found["Y"]), share, rtol=1e-5)
    assert is_right == (kind is Ours)
    benchmark.extra_info["requests"] = n_requests
