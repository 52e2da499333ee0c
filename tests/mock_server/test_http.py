"""The HTTP endpoint as a server: what no conformance check can ask of a real Triton."""

import gzip
import json
import socket
import threading
import zlib
from http.client import HTTPConnection, HTTPException

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server import FaultPlan, MockServer, Model, TensorSpec
from mock_server.http_api.replies import compress, decompress
from mock_server.http_api.service import route_of

WAIT_S = 10.0
INFER = "/v2/models/double/infer"
ONES = json.dumps(
    {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 1, 1]}]}
)


@pytest.fixture
def http(serve):
    """Serve over HTTP; gives a function that sends one request."""

    def start(*models, **options):
        server = serve(*models, http_port=0, **options)
        return lambda *request: ask(server, *request)

    return start


def ask(server, method, path, body=None, headers=None):
    address = server.http_url.removeprefix("http://")
    connection = HTTPConnection(address, timeout=WAIT_S)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def test_model_answers_over_http(http, double):
    status, body, headers = http(double)("POST", INFER, ONES)

    assert status == 200
    assert json.loads(body)["outputs"][0]["data"] == [2.0, 2.0, 2.0]
    assert headers["Content-Type"] == "application/json"


def test_both_protocols_count_as_one(http, double, serve, connect, tensor):
    server = serve(double, http_port=0)
    x = tensor("X", np.ones((1, 3), np.float32))

    connect(server).infer("double", [x])
    ask(server, "POST", INFER, ONES)

    _, body, _ = ask(server, "GET", "/v2/models/double/stats")
    assert json.loads(body)["model_stats"][0]["inference_count"] == 2


def test_many_requests_pass_on_one_connection(serve, double):
    server = serve(double, http_port=0)
    connection = HTTPConnection(server.http_url.removeprefix("http://"))

    for _ in range(20):
        connection.request("POST", INFER, ONES)
        assert connection.getresponse().read().startswith(b'{"model_name"')

    connection.close()


def test_stopped_server_leaves_no_thread_and_no_port(double):
    before = set(threading.enumerate())

    with MockServer([double], http_port=0, metrics_port=0) as server:
        ask(server, "POST", INFER, ONES)
        ports = [int(url.split(":")[2]) for url in (server.http_url,)]

    assert set(threading.enumerate()) == before
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", ports[0]))


def test_port_in_use_is_an_error_and_opens_no_other(serve, double):
    taken = int(serve(double, http_port=0).http_url.split(":")[2])
    before = set(threading.enumerate())

    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken}"):
        MockServer([double], http_port=taken).start()

    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("name", ["http_url", "metrics_url"])
def test_port_that_was_not_requested_has_no_url(serve, name):
    with pytest.raises(RuntimeError, match=f"make it with {name[:-4]}_port=0"):
        getattr(serve(), name)


def test_stop_does_not_wait_for_a_client_that_waits(double):
    entered = threading.Event()
    plan = FaultPlan().on().call(lambda arrival: entered.set()).on().hang()
    server = MockServer([double], http_port=0, faults=plan)
    server.start()
    ended = threading.Event()

    def wait_for_an_answer():
        with pytest.raises((OSError, HTTPException)):
            ask(server, "POST", INFER, ONES)
        ended.set()

    threading.Thread(target=wait_for_an_answer).start()
    assert entered.wait(WAIT_S)

    server.stop()

    assert ended.wait(WAIT_S)


def test_client_that_leaves_cancels_its_request(serve):
    entered, left = threading.Event(), threading.Event()

    def watch(tensors, request):
        request.cancellation.when_cancelled(left.set)
        entered.set()
        assert left.wait(WAIT_S)
        return {"Y": tensors["X"]}

    spec = [("X", "FP32", (-1, 3))], [("Y", "FP32", (-1, 3))]
    inputs, outputs = ([TensorSpec(*each) for each in side] for side in spec)
    server = serve(Model("double", inputs, outputs, watch), http_port=0)
    host, port = server.http_url.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port))
    connection.request("POST", INFER, ONES)
    assert entered.wait(WAIT_S)

    connection.close()

    assert left.wait(WAIT_S)


@pytest.mark.parametrize(
    ("plan", "status", "error"),
    [
        (FaultPlan().on().refuse("UNAVAILABLE", "full"), 503, "full"),
        (FaultPlan().on().refuse("RESOURCE_EXHAUSTED", "big"), 413, "big"),
        (FaultPlan().require_token("t"), 401, "Jwt is missing"),
        (FaultPlan().start_slowly(seconds=3600.0), 503, "Server not ready"),
    ],
    ids=["refused", "too-large", "token", "not-ready"],
)
def test_planned_errors_have_a_status(http, double, plan, status, error):
    answer = http(double, faults=plan)("POST", INFER, ONES)

    assert answer[0] == status
    assert json.loads(answer[1]) == {"error": error}


def test_right_token_is_accepted(http, double):
    send = http(double, faults=FaultPlan().require_token("t"))

    assert send("POST", INFER, ONES, {"Authorization": "Bearer t"})[0] == 200


def test_slow_start_is_not_ready_over_http(http, double):
    send = http(double, faults=FaultPlan().start_slowly(seconds=3600.0))

    assert send("GET", "/v2/health/live")[0] == 200
    assert send("GET", "/v2/health/ready")[0] == 400
    assert send("GET", "/v2/models/double/ready")[0] == 400


def test_admission_is_refused_over_http_too(http, double):
    send = http(double, faults=FaultPlan().refuse_admission())

    assert send("POST", "/v2/repository/index")[:2] == (400, b'{"error":""}')


@pytest.mark.parametrize("after_model", [False, True])
def test_connection_is_dropped_over_http(http, double, after_model):
    plan = FaultPlan().on(1).drop_connection(after_model=after_model)
    send = http(double, faults=plan)

    with pytest.raises((HTTPException, OSError)):
        send("POST", INFER, ONES)

    assert send("POST", INFER, ONES)[0] == 200


def test_answer_faults_reach_http(http, double):
    send = http(double, faults=FaultPlan().on().fill_with_nan())

    _, body, _ = send("POST", INFER, ONES)

    assert body.endswith(b'"data":[NaN,NaN,NaN]}]}')


def test_body_above_the_limit_is_refused(http, double):
    send = http(double, max_message_bytes=64)

    status, body, _ = send("POST", INFER, ONES)

    assert status == 413
    assert "larger than the limit of 64 bytes" in json.loads(body)["error"]


def test_compressed_body_may_not_grow_beyond_the_limit(http, double):
    send = http(double, max_message_bytes=10_000)
    bomb = gzip.compress(bytes(10_000_000), 9)

    status, _, _ = send("POST", INFER, bomb[:10_000], {"Content-Encoding": "gzip"})

    assert status == 413


def test_deeply_nested_json_is_an_error(http, double):
    status, body, _ = http(double)("POST", INFER, "[" * 100_000)

    assert status == 500
    assert "recursion" in json.loads(body)["error"]


def test_header_above_the_limit_is_refused(http, double):
    status, _, _ = http(double)("GET", "/v2", None, {"X-Long": "x" * 100_000})

    assert status == 400


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_compressed_content_comes_back(content, encoding):
    assert decompress(compress(content, encoding), encoding, 1000) == content


def test_deflate_is_zlibs_format():
    assert zlib.decompress(compress(b"abc", "deflate")) == b"abc"


@pytest.mark.parametrize("path", ["/v2/", "/", "/v2/models", "/v2/models/m/nope", ""])
def test_other_paths_are_none(path):
    assert route_of(path) is None


def test_model_may_be_called_stats():
    assert route_of("/v2/models/stats").action == "all_statistics"
    assert route_of("/v2/models/stats/stats").fields == {"model": "stats"}
