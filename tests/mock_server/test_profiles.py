"""What changes with the release of Triton; the sources are beside the profiles."""

import gzip
import json
import threading
import urllib.request
from dataclasses import replace
from http.client import HTTPConnection

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from mock_server import Ensemble, MockServer, Model, Step, TensorSpec, profile_of
from mock_server.errors import ConfigurationError
from sonic_base import ConfigError
from sonic_tracking.bench.served import gpu_utilisation, stage_seconds

OLD, NEW = "24.10", "26.04"
LIMIT = 2048
NEEDLE = "Use --http-max-input-size to increase the limit."
WORDS = Model(
    "words",
    [TensorSpec("X", "BYTES", (-1,))],
    [TensorSpec("Y", "BYTES", (-1,))],
    lambda tensors: {"Y": tensors["X"]},
)


@pytest.fixture
def post(serve, double):
    """Serve a profile; gives a function that posts an inference request."""

    def start(profile):
        server = serve(double, WORDS, http_port=0, profile=profile)
        return lambda *request, **options: posted(server, *request, **options)

    return start


def posted(server, body, model="double", **headers):
    connection = HTTPConnection(server.http_url.removeprefix("http://"))
    try:
        connection.request(
            "POST",
            f"/v2/models/{model}/infer",
            body,
            {name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def asked(data, n_rows=1, datatype="FP32", **further):
    tensor = {"name": "X", "datatype": datatype, "shape": [n_rows, 3], "data": data}
    if datatype == "BYTES":
        tensor["shape"] = [n_rows]
    return json.dumps({"inputs": [tensor], **further}).encode()


@pytest.mark.parametrize(
    ("profile", "version"),
    [
        ("24.10", "2.51.0"),
        ("25.07", "2.59.1"),
        ("26.04", "2.68.0"),
        ("26.08", "2.72.0"),
    ],
)
def test_version_is_that_of_the_release(serve, double, connect, profile, version):
    server = serve(double, http_port=0, profile=profile)

    assert connect(server).get_server_metadata().version == version
    with urllib.request.urlopen(f"{server.http_url}/v2") as answer:
        told = json.load(answer)
    assert told["version"] == version
    assert "system_shared_memory" in told["extensions"]  # though it is off


def test_unknown_profile_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown profile '26\.4', nearest: '26\.04"):
        MockServer(profile="26.4")


@pytest.mark.parametrize(
    ("call", "question"),
    [
        ("SystemSharedMemoryRegister", {"name": "r", "key": "/r", "byte_size": 8}),
        ("SystemSharedMemoryUnregister", {}),
        ("CudaSharedMemoryRegister", {"name": "r"}),
        ("CudaSharedMemoryUnregister", {}),
    ],
)
@pytest.mark.parametrize("profile", [NEW, "24.10"])
def test_shared_memory_is_off(serve, stub_of, double, call, question, profile):
    server = serve(double, http_port=0, profile=profile)
    request = getattr(service_pb2, f"{call}Request")(**question)
    text = (
        "Client shared memory is disabled. Start the server with "
        "'--allow-client-shm=true' to enable."
    )

    with pytest.raises(grpc.RpcError) as error:
        getattr(stub_of(server), call)(request)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == text

    kind, verb = call.removesuffix("SharedMemory").split("SharedMemory")
    connection = HTTPConnection(server.http_url.removeprefix("http://"))
    connection.request("POST", f"/v2/{kind.lower()}sharedmemory/{verb.lower()}")
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)) == (501, {"error": text})
    connection.close()


def test_status_of_shared_memory_is_told_though_it_is_off(serve, connect, double):
    client = connect(serve(double, profile=NEW))

    assert not client.get_system_shared_memory_status().regions


def test_shared_memory_may_be_allowed(serve, connect, double):
    profile = replace(profile_of(NEW), client_shared_memory=True)

    connect(serve(double, profile=profile)).unregister_system_shared_memory()


def small(name):
    return replace(profile_of(name), max_http_input_bytes=LIMIT)


def test_the_limit_of_inputs_is_64_mib():
    limits = {
        name: profile_of(name).max_http_input_bytes for name in ("25.05", "25.06", NEW)
    }

    assert limits == {"25.05": None, "25.06": 67108864, NEW: 67108864}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            asked([0] * 600, 200),
            "JSON input 'X' has a byte_size (2400 bytes) that exceeds the maximum "
            f"allowed value of 2048 bytes. {NEEDLE}",
        ),
        (
            asked([0.0] * 600, 200),
            "request JSON size of {size} bytes exceeds the maximum allowed input size "
            f"of 2048 bytes. {NEEDLE}",
        ),
    ],
    ids=["tensor", "JSON"],
)
def test_json_above_the_limit_is_refused(post, body, text):
    expected = {"error": text.format(size=len(body))}

    assert post(small(NEW))(body) == (400, expected)


def test_a_raw_body_above_the_limit_is_refused(post):
    assert post(small(NEW))(bytes(2052), Inference_Header_Content_Length="0") == (
        400,
        {
            "error": "Raw input has a byte_size (2052 bytes) that exceeds the maximum "
            f"allowed value of 2048 bytes. {NEEDLE}"
        },
    )


@pytest.mark.parametrize(("profile", "status"), [("25.06", 200), (NEW, 400)])
def test_a_compressed_body_is_limited_by_its_content(post, profile, status):
    header = json.dumps(
        {
            "inputs": [
                {
                    "name": "X",
                    "datatype": "FP32",
                    "shape": [200, 3],
                    "parameters": {"binary_data_size": 2400},
                }
            ]
        }
    ).encode()
    ask = post(small(profile))
    length = {"Inference_Header_Content_Length": str(len(header))}

    plain = ask(header + bytes(2400), **length)
    found = ask(gzip.compress(header + bytes(2400)), Content_Encoding="gzip", **length)

    assert plain[0] == 200  # binary tensors are not limited
    assert found[0] == status
    if status == 400:
        assert found[1]["error"] == (
            f"Decompressed data size exceeds the maximum allowed value of 2048 bytes. "
            f"{NEEDLE}"
        )


def nested(value, depth):
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("datatype", "model", "where"),
    [("FP32", "double", "Unable to parse 'data': "), ("BYTES", "words", "")],
)
def test_data_may_be_nested_99_deep(post, datatype, model, where):
    ask, shape = post(NEW), {"datatype": datatype}
    element = "a" if datatype == "BYTES" else 0
    row = element if datatype == "BYTES" else [0, 0, 0]
    inner = 0 if datatype == "BYTES" else 1

    assert ask(asked(nested(row, 99 - inner), **shape), model)[0] == 200
    assert ask(asked(nested(row, 100 - inner), **shape), model) == (
        400,
        {"error": f"{where}JSON nesting depth exceeds maximum allowed limit (100)"},
    )


def test_data_may_be_nested_deeper_before(post):
    assert post(OLD)(asked(nested([0, 0, 0], 150)))[0] == 200


@pytest.mark.parametrize(("profile", "status"), [(NEW, 200), ("26.05", 400)])
def test_an_output_named_twice_is_refused_since_26_05(post, profile, status):
    outputs = [{"name": "Y"}, {"name": "Y"}]

    found = post(profile)(asked([0, 0, 0], id="7", outputs=outputs))

    assert found[0] == status
    if status == 400:
        text = "[request id: 7] output 'Y' already exists in request"
        assert found[1] == {"error": text}


@pytest.fixture
def chain():
    """An ensemble of one step, which runs when it is let, and counts."""

    class Held:
        let = threading.Semaphore(0)
        entered = threading.Semaphore(0)
        n_running = most = 0
        lock = threading.Lock()

        def __call__(self, tensors):
            with self.lock:
                self.n_running += 1
                self.most = max(self.most, self.n_running)
            self.entered.release()
            self.let.acquire()
            with self.lock:
                self.n_running -= 1
            return {"Y": tensors["X"]}

    held, free = Held(), (-1,)
    inputs, outputs = [TensorSpec("X", "FP32", free)], [TensorSpec("Y", "FP32", free)]

    def models(limit):
        steps = [Step(model_name="held", input_map={"X": "X"}, output_map={"Y": "Y"})]
        ensemble = Ensemble(steps, max_inflight_requests=limit)
        return (
            Model("held", inputs, outputs, held, instances=4),
            Model("chain", inputs, outputs, ensemble),
        )

    return held, models


def test_an_ensemble_step_runs_no_more_requests_than_allowed(
    serve, connect, tensor, chain
):
    held, models = chain
    client = connect(serve(*models(2), profile=NEW))
    answered = threading.Semaphore(0)
    errors = []

    def done(result, error):
        errors.append(error)
        answered.release()

    x = tensor("X", np.ones(1, np.float32))
    for _ in range(6):
        client.async_infer("chain", [x], done)
    for _ in range(6):  # each release lets one through, so that another one enters
        assert held.entered.acquire(timeout=20)
        held.let.release()
    for _ in range(6):
        assert answered.acquire(timeout=20)

    assert errors == [None] * 6
    assert held.most <= 2


def test_what_waits_for_a_step_ends_with_the_server(serve, connect, tensor, chain):
    held, models = chain
    server = serve(*models(1), profile=NEW)
    client = connect(server)
    answers, answered = [], threading.Semaphore(0)

    def done(result, error):
        answers.append(error)
        answered.release()

    for _ in range(3):
        client.async_infer("chain", [tensor("X", np.ones(1, np.float32))], done)
    assert held.entered.acquire(timeout=20)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    held.let.release(3)
    stopping.join(timeout=20)
    for _ in range(3):
        assert answered.acquire(timeout=20)

    assert not stopping.is_alive()
    assert isinstance(answers[-1], InferenceServerException)


def test_older_releases_have_no_limit_of_steps(chain):
    _, models = chain

    with pytest.raises(ConfigurationError, match=r"max_inflight_requests .* 26\.04"):
        MockServer(models(2), profile=OLD)


def test_metrics_tell_load_times_and_histograms(serve, connect, double, tensor):
    profile = replace(profile_of(NEW), latency_histograms=True)
    server = serve(double, metrics_port=0, profile=profile)
    x = tensor("X", np.ones((1, 3), np.float32))
    for _ in range(3):
        connect(server).infer("double", [x])

    with urllib.request.urlopen(server.metrics_url) as answer:
        text = answer.read().decode()
    families = {each.name: each for each in text_string_to_metric_families(text)}
    assert stage_seconds(text, "double") == gpu_utilisation(text) == {}  # of `bench`
    assert families["nv_model_load_duration_secs"].type == "gauge"
    histogram = families["nv_inference_first_response_histogram_ms"]
    assert histogram.type == "histogram"
    buckets = {
        sample.labels["le"]: sample.value
        for sample in histogram.samples
        if sample.name.endswith("_bucket")
    }
    assert list(buckets) == ["100", "500", "2000", "5000", "+Inf"]
    assert buckets["+Inf"] == 3


def test_typed_contents_are_answered_if_the_profile_says_so(
    serve, stub_of, double, tensor
):
    profile = replace(profile_of("mlserver"), typed_contents=True)
    stub = stub_of(serve(double, profile=profile))
    request = service_pb2.ModelInferRequest(model_name="double")
    request.inputs.add(name="X", datatype="FP32", shape=[1, 3])
    request.raw_input_contents.append(np.float32([1, 2, 3]).tobytes())

    answer = stub.ModelInfer(request)

    assert list(answer.outputs[0].contents.fp32_contents) == [2.0, 4.0, 6.0]
    assert not answer.raw_output_contents


def test_a_server_without_tritons_extensions_has_no_configuration(
    serve, connect, double, post
):
    client = connect(serve(double, profile="mlserver"))

    assert client.get_server_metadata().name == "mlserver"
    with pytest.raises(InferenceServerException) as error:
        client.get_model_config("double")
    assert error.value.status() == "StatusCode.UNIMPLEMENTED"

    ask = post("mlserver")
    assert ask(asked([1, 2, 3]), Content_Type="application/json")[0] == 200
    assert ask(bytes(12), Inference_Header_Content_Length="0")[0] == 422
