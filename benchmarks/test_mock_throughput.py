"""Requests per second: the mock server against a real Triton, same model and client.

Each server has a process of its own; the client's work is the same for both. The
ratio of the two is in ``extra_info`` of the mock's row.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput

from sonic_tracking.engines import TritonNotFoundError, TritonServer, find_triton

WINDOW = 16
POINTS = np.random.default_rng(1).random((1300, 3), dtype=np.float32)

CONFIG = """
name: "trivial"
backend: "python"
input [{ name: "X" data_type: TYPE_FP32 dims: [-1, 3] }]
output [{ name: "Y" data_type: TYPE_INT64 dims: [-1] }]
instance_group [{ count: 1 kind: KIND_CPU }]
"""
MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            y = pb_utils.Tensor("Y", np.zeros(len(x), np.int64))
            answers.append(pb_utils.InferenceResponse([y]))
        return answers
"""
MOCK = """
import sys
import numpy as np
from mock_server import MockServer, Model, TensorSpec

x, y = TensorSpec("X", "FP32", (-1, 3)), TensorSpec("Y", "INT64", (-1,))
function = lambda tensors: {"Y": np.zeros(len(tensors["X"]), np.int64)}
with MockServer([Model("trivial", [x], [y], function)]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def requests_per_s(url: str, n_requests: int) -> float:
    """Rate of one client that has `WINDOW` requests in flight."""
    features = InferInput("X", list(POINTS.shape), "FP32").set_data_from_numpy(POINTS)
    window = threading.Semaphore(WINDOW)
    errors: list[Exception] = []

    def answered(result: object, error: Exception | None) -> None:
        if error is not None:
            errors.append(error)
        window.release()

    with closing(InferenceServerClient(url.removeprefix("grpc://"))) as client:
        started_s = time.perf_counter()
        for _ in range(n_requests):
            window.acquire()
            client.async_infer("trivial", [features], callback=answered)
        for _ in range(WINDOW):
            window.acquire()
        elapsed_s = time.perf_counter() - started_s
    assert not errors
    return n_requests / elapsed_s


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    """A mock server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", MOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.fixture(scope="module")
def triton_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Triton with the same model; skips where there is none.

    SONIC_TRITON_PYTHON names the interpreter that has one, if it is not this one.
    """
    named = os.environ.get("SONIC_TRITON_PYTHON")
    triton_python = Path(named) if named else None
    try:
        find_triton(triton_python)
    except TritonNotFoundError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("repository") / "trivial"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(CONFIG)
    (folder / "1" / "model.py").write_text(MODEL)
    with TritonServer(folder.parent, python=triton_python) as server:
        yield server.url


@pytest.fixture
def n_requests(is_smoke: bool) -> int:
    """How many requests are timed in one round."""
    return 50 if is_smoke else 2000


def test_mock_server_alone(benchmark, mock_url, n_requests):
    requests_per_s(mock_url, 50)  # connections and threads are made

    rate = benchmark.pedantic(requests_per_s, args=(mock_url, n_requests), rounds=3)

    benchmark.extra_info["requests_per_s"] = round(rate)


@pytest.mark.triton
def test_mock_server_beside_triton(benchmark, mock_url, triton_url, n_requests):
    rates: dict[str, list[float]] = {mock_url: [], triton_url: []}

    def turn_about() -> None:
        for url, measured in rates.items():
            measured.append(requests_per_s(url, n_requests))

    for url in rates:
        requests_per_s(url, 50)
    benchmark.pedantic(turn_about, rounds=5)

    mock, triton = (float(np.median(measured)) for measured in rates.values())
    benchmark.extra_info |= {
        "mock_requests_per_s": round(mock),
        "triton_requests_per_s": round(triton),
        "ratio": round(mock / triton, 2),
    }
