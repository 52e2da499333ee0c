"""Requests that no client of the protocol sends: each is answered as a mistake of it.

Most were found by ``tests/fuzz``.
"""

import asyncio
import http.client
import json
import logging
import socket
import threading
import zlib

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from mock_server import DynamicBatching, MockServer, Model, TensorSpec
from mock_server.errors import UNFORESEEN
from mock_server.grpc_api.endpoint import MAX_REQUESTS_IN_FLIGHT
from mock_server.grpc_api.handlers import MAX_STREAMS
from mock_server.http_api.endpoint import runner_of
from mock_server.wire.codec import decode
from tests.fuzz.served import MemoryTransport

WAIT_S = 20.0
DIGITS = "9" * 5000
CONFIG = """
name: "plain"
backend: "python"
input [{ name: "X" data_type: TYPE_FP32 dims: [-1, 3] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [-1, 3] }]
"""
MODEL_FILE = """
class TritonPythonModel:
    pass
"""


def copied(tensors):
    return {"Y": tensors["X"]}


def echo(**options):
    x, y = (TensorSpec(name, "FP32", (-1, 3)) for name in "XY")
    text = TensorSpec("TEXT", "BYTES", (-1,), is_optional=True)
    return Model("echo", [x, text], [y], copied, **options)


def tensor(shape, **others):
    return {"name": "X", "datatype": "FP32", "shape": shape, **others}


def binary(shape, n_bytes):
    return tensor(shape, parameters={"binary_data_size": n_bytes})


def message(shape=(1, 3), data=bytes(12), **fields):
    made = service_pb2.ModelInferRequest(**{"model_name": "echo", **fields})
    made.inputs.add(name="X", datatype="FP32", shape=shape)
    made.raw_input_contents.append(data)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    for name in ("plain", "other"):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1" / "model.py").write_text(MODEL_FILE)
        config = CONFIG.replace("plain", name)
        (folder / name / "config.pbtxt").write_text(config)
    batched = Model(
        "batched",
        [TensorSpec("X", "FP32", (3,))],
        [TensorSpec("Y", "FP32", (3,))],
        copied,
        max_batch_size=4,
    )
    with MockServer(
        [echo(), batched],
        repository=folder,
        model_control="explicit",
        load_models=["*"],
        http_port=0,
    ) as running:
        yield running


@pytest.fixture
def post(server):
    """Sends a body to a path; returns the status and the text of the error."""
    connection = http.client.HTTPConnection(
        server.http_url.removeprefix("http://"), timeout=WAIT_S
    )

    def send(path, body, headers=(), method="POST"):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, dict(headers))
        response = connection.getresponse()
        answer = response.read()
        return response.status, json.loads(answer or b"{}").get("error", answer)

    yield send
    connection.close()


@pytest.fixture
def infer(post):
    def send(header, tail=b"", model="echo"):
        text = json.dumps(header).encode()
        headers = {"Inference-Header-Content-Length": str(len(text))}
        return post(f"/v2/models/{model}/infer", text + tail, headers)

    return send


@pytest.fixture
def load(post):
    """Loads the model `plain` with some fields of its configuration changed."""

    def send(name="plain", text="", **change):
        config = {
            "name": name,
            "backend": "python",
            "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [-1, 3]}],
            "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [-1, 3]}],
            **change,
        }
        parameters = {"config": text or json.dumps(config)}
        return post(f"/v2/repository/models/{name}/load", {"parameters": parameters})

    return send


@pytest.fixture
def stub(server, stub_of):
    return stub_of(server)


@pytest.fixture
def raw_call(server):
    """Calls an RPC with bytes that need not be its message."""
    with grpc.insecure_channel(server.url.removeprefix("grpc://")) as channel:

        def send(rpc, content):
            name = f"/inference.GRPCInferenceService/{rpc}"
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(name, None, None)(content, timeout=WAIT_S)
            return refused.value.code(), refused.value.details()

        yield send


def send_bytes(server, content):
    """Send bytes to the HTTP port; return what comes until it closes the connection."""
    host, _, port = server.http_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as connection:
        connection.sendall(content)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("what", ["", "/config", "/stats", "/ready"])
def test_a_version_of_thousands_of_digits_is_no_version(post, what):
    status, text = post(f"/v2/models/echo/versions/{DIGITS}{what}", b"", method="GET")

    assert status == 400
    assert "should be an integral value" in text


def test_a_version_of_thousands_of_digits_is_refused_over_grpc(stub):
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(message(model_version=DIGITS), timeout=WAIT_S)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_ends_after_a_request_with_such_a_version(stub):
    requests = [message(model_version=DIGITS), message(id="good")]

    answers = list(stub.ModelStreamInfer(iter(requests), timeout=WAIT_S))

    assert "integral value" in answers[0].error_message
    assert answers[1].infer_response.id == "good"


@pytest.mark.parametrize(
    "text", ['"\\ud800"', b'"\xed\xa0\x80"'], ids=["escape", "raw"]
)
def test_half_a_character_is_no_json(post, text):
    name = text.encode() if isinstance(text, str) else text
    body = b'{"inputs": [{"name": %s, "data": [], "shape": []}]}' % name

    status, answer = post("/v2/models/echo/infer", body)

    assert status == 500
    assert "failed to parse the request JSON" in answer


def test_data_may_be_nested_as_deep_as_json_is_read(infer):
    depth = 900
    nested = json.loads("[" * depth + "1,2,3" + "]" * depth)

    status, _ = infer({"inputs": [tensor([1, 3], data=nested)]})

    assert status == 200


@pytest.mark.parametrize(
    ("shape", "n_bytes"),
    [((2**65 + 1) // 3, 4), (2**62, 0), (2**63, 0)],
    ids=["one element", "none", "negative"],
)
def test_a_shape_whose_product_wraps_does_not_reach_the_model(infer, shape, n_bytes):
    status, text = infer({"inputs": [binary([shape, 3], n_bytes)]}, bytes(n_bytes))

    assert status == 400
    assert f"for input 'X' for model 'echo'. Expected {12 * shape}" in text


def test_two_negative_dimensions_do_not_make_a_size(stub):
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(message((-2, -3), bytes(24)), timeout=WAIT_S)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    x = message((-2, 3), b"", model_name="batched")
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(x, timeout=WAIT_S)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_batch_of_none_with_the_data_of_one_is_refused(infer):
    status, text = infer({"inputs": [binary([0, 3], 12)]}, bytes(12), "batched")

    assert (status, "batch-size must be >= 1" in text) == (400, True)


def test_strings_that_a_shape_claims_are_not_reserved():
    with pytest.raises(ValueError, match="cannot reshape"):
        decode(b"", "BYTES", (2**45,))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"max_batch_size": {DIGITS}}}',
        '{"a":' * 3000 + "1" + "}" * 3000,
        '{"input": [{"data_type": 1e999}]}',
        "[]",
        "1",
    ],
    ids=["digits", "nested", "infinite", "list", "number"],
)
def test_a_configuration_that_cannot_be_read_is_refused(load, text):
    status, answer = load(text=text)

    assert status == 500
    assert answer.startswith("failed to load 'plain'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instance_group": [{"count": 1025}]}, "instances must be 1 to 1024"),
        (
            {
                "max_batch_size": 4,
                "dynamic_batching": {
                    "priority_levels": 1025,
                    "default_priority_level": 1,
                },
            },
            "priority_levels must be 0 to 1024",
        ),
        ({"platform": "ensemble"}, "an ensemble needs a step"),
    ],
    ids=["instances", "priorities", "no steps"],
)
def test_a_configuration_that_cannot_be_served_is_refused(load, change, words):
    status, answer = load(**change)

    assert status == 400
    assert words in answer


def steps(name):
    step = {"model_name": name, "model_version": -1}
    maps = {"input_map": {"X": "X"}, "output_map": {"Y": "Y"}}
    return {"ensemble_scheduling": {"step": [{**step, **maps}]}, "backend": ""}


def test_an_ensemble_is_no_step_of_itself(load):
    status, answer = load("plain", **steps("plain"))

    assert status == 400
    assert "circular dependency between ensembles" in answer


def test_two_ensembles_are_not_steps_of_each_other(load, post):
    assert load("plain", **steps("other"))[0] == 200

    status, answer = load("other", **steps("plain"))

    assert status == 400
    assert "circular dependency between ensembles" in answer
    assert post("/v2/repository/models/plain/unload", b"")[0] == 200


def test_a_configuration_with_a_kind_of_the_future_can_be_read(load, post):
    assert load(instance_group=[{"kind": 77}])[0] == 200

    status, _ = post("/v2/models/plain/config", b"", method="GET")

    assert status == 200
    assert post("/v2/repository/models/plain/unload", b"")[0] == 200


def test_a_queue_may_wait_for_centuries(serve, stub_of):
    patient = DynamicBatching(preferred_batch_size=[2], max_queue_delay_s=1e13)
    x, y = (TensorSpec(name, "FP32", (3,)) for name in "XY")
    model = Model("echo", [x], [y], copied, max_batch_size=2, dynamic_batching=patient)
    stub = stub_of(serve(model))

    first = stub.ModelInfer.future(message(id="1"), timeout=WAIT_S)
    second = stub.ModelInfer.future(message(id="2"), timeout=WAIT_S)

    assert [first.result().id, second.result().id] == ["1", "2"]


def test_a_body_that_explodes_is_refused_before_it_is_large(post):
    bomb = zlib.compress(bytes(2**27))
    headers = {"Content-Encoding": "deflate"}

    status, answer = post("/v2/models/echo/infer", bomb, headers)

    assert len(bomb) < 2**18
    assert (status, "larger than the limit" in answer) == (413, True)


def test_a_message_that_cannot_be_parsed_leaves_no_traceback(raw_call, caplog):
    answer = raw_call("ModelInfer", b"\xff\xff")

    assert answer == (grpc.StatusCode.INTERNAL, "Unable to parse request")
    assert not [each for each in caplog.records if each.exc_info]


def test_a_name_of_a_megabyte_is_not_repeated_in_full(stub):
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(message(model_name="𝔘" * 2**18), timeout=WAIT_S)

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(refused.value.details()) < 2000


@pytest.mark.parametrize(
    "content",
    [
        b"POST /v2 HTTP/1.1-\nHost: localhost\r\n\r\n",
        b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
    ],
    ids=["line", "chunk", "header"],
)
def test_bytes_that_are_not_http_leave_no_traceback(server, caplog, content):
    answer = send_bytes(server, content)

    assert answer.startswith(b"HTTP/1.0 400 ")
    assert not [each for each in caplog.records if each.exc_info]


def test_an_expectation_need_not_be_ascii(server):
    answer = send_bytes(
        server,
        b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\n"
        b"Expect: \xff\xfe\r\nConnection: close\r\n"
        b"Content-Length: 0\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 417")


def test_a_client_that_leaves_before_it_is_answered_leaves_no_traceback(caplog):
    async def never_asked(request):
        raise AssertionError

    async def send_and_leave():
        runner = runner_of(never_asked, max_body_bytes=10, max_header_bytes=999)
        await runner.setup()
        protocol, transport = runner.server(), MemoryTransport()
        protocol.connection_made(transport)
        protocol.data_received(
            b"POST /v2 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: 5\r\n\r\n"
        )
        transport.close()
        for _ in range(10):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        await runner.cleanup()

    asyncio.run(send_and_leave())

    assert not [each for each in caplog.records if each.exc_info]


class FailingRecord:
    """A part of the server that has a bug."""

    def add(self, request):
        raise LookupError("of a bug")


def test_a_bug_is_answered_in_the_form_of_each_protocol(serve, stub_of, caplog):
    server = serve(echo(), http_port=0, record=FailingRecord())
    body = json.dumps({"inputs": [tensor([1, 3], data=[1, 2, 3])]})
    connection = http.client.HTTPConnection(server.http_url.removeprefix("http://"))
    stub = stub_of(server)

    connection.request("POST", "/v2/models/echo/infer", body)
    response = connection.getresponse()
    text = json.loads(response.read())["error"]
    connection.close()
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(message(), timeout=WAIT_S)
    (streamed,) = stub.ModelStreamInfer(iter([message()]), timeout=WAIT_S)

    expected = f"{UNFORESEEN}LookupError"
    assert (response.status, text) == (500, expected)
    assert refused.value.code() is grpc.StatusCode.INTERNAL
    assert refused.value.details() == streamed.error_message == expected
    logged = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.exc_info[0] for each in logged] == [LookupError] * 3


def test_health_is_told_while_streams_are_held(serve, stub_of):
    stub = stub_of(serve(echo()))
    release = threading.Event()

    def idle():
        yield message()
        release.wait(WAIT_S)

    streams = [
        stub.ModelStreamInfer(idle(), timeout=WAIT_S) for _ in range(MAX_STREAMS)
    ]
    for stream in streams:
        next(stream)
    with pytest.raises(grpc.RpcError) as refused:
        next(stub.ModelStreamInfer(iter([message()]), timeout=WAIT_S))
    live = stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=WAIT_S).live
    release.set()
    rests = [len(list(stream)) for stream in streams]

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert live
    assert rests == [0] * MAX_STREAMS
    assert len(list(stub.ModelStreamInfer(iter([message()]), timeout=WAIT_S))) == 1


def test_health_is_told_while_all_threads_are_held(serve, stub_of):
    started, release = threading.Semaphore(0), threading.Event()

    def slow(tensors):
        started.release()
        release.wait(WAIT_S)
        return copied(tensors)

    x, y = (TensorSpec(name, "FP32", (-1, 3)) for name in "XY")
    server = serve(Model("echo", [x], [y], slow, instances=MAX_REQUESTS_IN_FLIGHT))
    stub = stub_of(server)

    held = [
        stub.ModelInfer.future(message(), timeout=WAIT_S)
        for _ in range(MAX_REQUESTS_IN_FLIGHT + 1)
    ]
    for _ in range(MAX_REQUESTS_IN_FLIGHT):
        started.acquire()
    live = stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=WAIT_S).live
    release.set()

    assert live
    assert all(each.result() for each in held)


def test_the_server_still_answers(infer):
    status, _ = infer({"inputs": [tensor([1, 3], data=np.arange(3).tolist())]})

    assert status == 200
