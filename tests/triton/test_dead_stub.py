"""A process of a Python model that is killed in the middle of a job.

Triton 2.51 starts no other one: it says that it is ready, and each request to that
instance ends with INTERNAL after a second.
"""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_client

from sonic_client import Answer, Client, ClientConfig, Observer, Request
from sonic_tracking.engines import TritonServer

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

N_EVENTS = 300
CONFIG = """
name: "label"
backend: "python"
max_batch_size: 0
input [ { name: "FEATURES" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
output [ { name: "LABELS" data_type: TYPE_INT64 dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        first = pb_utils.get_input_tensor_by_name(request, "FEATURES").as_numpy()[:, 0]
        if (first < 0).any():
            error = pb_utils.TritonError("negative", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        labels = pb_utils.Tensor("LABELS", first.astype(np.int64))
        return pb_utils.InferenceResponse([labels])
"""


def label_rows(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


@pytest.fixture
def start_server(triton_python, tmp_path):
    """Start Tritons with a small Python model; they stop when the test ends."""
    folder = tmp_path / "repository" / "label"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(CONFIG)
    (folder / "1" / "model.py").write_text(MODEL)
    servers = []

    def start():
        server = TritonServer(folder.parent, python=triton_python, start_limit_s=100.0)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def stubs_of(server):
    """The processes of the server's Python models."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")
            command = (status.parent / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        parent = int(fields[2].split()[1])
        if parent == server.pid and "triton_python_backend_stub" in command:
            found.append(int(status.parent.name))
    return found


def requests_killing(server, n_requests):
    """Requests; when a third of them are read, the stub of the server is killed."""
    for number in range(n_requests):
        if number == n_requests // 3:
            (stub,) = stubs_of(server)
            os.kill(stub, signal.SIGKILL)
        yield Request(number, {"FEATURES": np.full((2, 3), number, np.float32)})


class Changes(Observer):
    def __init__(self):
        self.changes = []

    def server_changed(self, event):
        self.changes.append((event.server, event.state))


@pytest.mark.parametrize("other", ["server", "fallback"])
def test_all_events_are_answered_when_a_stub_is_killed(start_server, other):
    sick = start_server()
    urls = [sick.url, start_server().url] if other == "server" else [sick.url]
    fallback = label_rows if other == "fallback" else None
    changes = Changes()
    config = ClientConfig(servers=urls, model_name="label")

    with Client(config, fallback=fallback, observers=[changes]) as client:
        outcomes = list(client.map(requests_killing(sick, N_EVENTS)))

    assert [outcome.request_id for outcome in outcomes] == list(range(N_EVENTS))
    for outcome in outcomes:
        assert isinstance(outcome, Answer), outcome
        assert outcome.outputs["LABELS"].tolist() == [outcome.request_id] * 2
    assert client.statistics().tries["INTERNAL"] > 0
    assert (sick.url, "open") in changes.changes  # it is left alone


def test_input_that_no_server_takes_is_an_invalid_argument(start_server):
    server = start_server()
    array = np.full((2, 3), -1, np.float32)

    with triton_client.InferenceServerClient(
        server.url.removeprefix("grpc://")
    ) as client:
        tensor = triton_client.InferInput("FEATURES", array.shape, "FP32")
        tensor.set_data_from_numpy(array)
        with pytest.raises(triton_client.InferenceServerException) as error:
            client.infer("label", [tensor])

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert error.value.message() == "negative"


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.full((2, 3), np.nan, np.float32), "is not finite"),
        (np.zeros((20_000, 3), np.float32), ""),  # or far from what it was trained on
    ],
    ids=["not finite", "too dense"],
)
@pytest.mark.parametrize("model", ["exatrkx", "exatrkx_ensemble"])
def test_our_models_answer_invalid_argument(triton, model, features, words):
    with triton_client.InferenceServerClient(
        triton.url.removeprefix("grpc://")
    ) as client:
        tensor = triton_client.InferInput("FEATURES", features.shape, "FP32")
        tensor.set_data_from_numpy(features)
        with pytest.raises(triton_client.InferenceServerException) as error:
            client.infer(model, [tensor])

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert words in error.value.message()
