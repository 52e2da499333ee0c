"""No client can use up the memory, the threads or the connections of a server."""

import json
import socket
import threading

import grpc
import pytest
from tritonclient.grpc import service_pb2

from mock_server import Model, TensorSpec
from mock_server.core import inference_core
from mock_server.grpc_api import endpoint as grpc_endpoint
from mock_server.grpc_api import streaming
from mock_server.http_api import endpoint, service

WAIT_S = 60.0
SPEC_X, SPEC_Y = TensorSpec("X", "FP32", (-1,)), TensorSpec("Y", "FP32", (-1,))


def echo(name="echo"):
    return Model(name, [SPEC_X], [SPEC_Y], lambda tensors: {"Y": tensors["X"]})


@pytest.fixture
def release():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def slow(release):
    """Answers no request before `release`."""

    def function(tensors):
        release.wait(WAIT_S)
        return {"Y": tensors["X"]}

    return Model("slow", [SPEC_X], [SPEC_Y], function)


def message(model="echo", n_floats=1):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="X", datatype="FP32", shape=[n_floats])
    request.raw_input_contents.append(bytes(4 * n_floats))
    return request


def waiting_for(server, model):
    return server._repository.find(model, "").pending


def until(condition):
    """Wait for what another thread is about to do."""
    pause = threading.Event()
    for _ in range(round(WAIT_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it has not happened")


def port_of(url):
    return int(url.rsplit(":", 1)[1])


def connected(server, sent=b""):
    connection = socket.create_connection(("127.0.0.1", port_of(server.http_url)))
    connection.settimeout(WAIT_S)
    connection.sendall(sent)
    return connection


def status_on(connection):
    return int(connection.recv(4096).split()[1])


def posted(model, n_floats=1, **headers):
    data = {
        "name": "X",
        "datatype": "FP32",
        "shape": [n_floats],
        "data": [1] * n_floats,
    }
    body = json.dumps({"inputs": [data]}).encode()
    lines = {"Host": "localhost", "Content-Length": len(body), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /v2/models/{model}/infer HTTP/1.1\r\n{head}\r\n".encode() + body


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("model", ["slow", "echo"])
def test_a_stream_holds_few_bytes_if_models_or_clients_are_slow(
    serve, slow, stub_of, model, monkeypatch
):
    """`echo` answers at once, but nobody takes the answers."""
    monkeypatch.setattr(streaming, "MAX_HELD_BYTES", 2**20)
    server = serve(slow, echo())
    sent = 0
    all_sent = threading.Event()

    def requests():
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield message(model, 2**16)
        all_sent.set()

    stream = stub_of(server).ModelStreamInfer(requests(), timeout=WAIT_S)
    were_all_taken = all_sent.wait(0.5)
    stream.cancel()

    assert not were_all_taken, f"{sent} requests were taken"


def test_nothing_of_a_cancelled_stream_waits_for_the_model(serve, slow, stub_of):
    server = serve(slow)

    def requests():
        yield from [message("slow")] * 20
        until(lambda: waiting_for(server, "slow") == 19)
        stream.cancel()

    stream = stub_of(server).ModelStreamInfer(requests(), timeout=WAIT_S)
    with pytest.raises(grpc.RpcError):
        list(stream)

    until(lambda: waiting_for(server, "slow") == 0)


def test_requests_whose_clients_have_left_hold_no_thread(serve, slow, stub_of):
    server = serve(slow, echo())
    stub = stub_of(server)
    calls = [stub.ModelInfer.future(message("slow")) for _ in range(300)]
    until(lambda: waiting_for(server, "slow") >= 200)
    for call in calls:
        call.cancel()

    assert stub.ModelInfer(message(), timeout=WAIT_S / 2).model_name == "echo"


def test_requests_that_have_left_over_http_are_dropped(serve, slow):
    server = serve(slow, http_port=0)
    connections = [connected(server, posted("slow")) for _ in range(20)]
    until(lambda: waiting_for(server, "slow") == 19)
    for connection in connections:
        connection.close()

    until(lambda: waiting_for(server, "slow") == 0)


def test_beyond_a_number_of_waiting_requests_further_ones_are_refused(
    serve, slow, stub_of, monkeypatch
):
    monkeypatch.setattr(grpc_endpoint, "MAX_REQUESTS_IN_FLIGHT", 4)
    monkeypatch.setattr(grpc_endpoint, "MAX_REQUESTS_WAITING", 8)
    stub = stub_of(serve(slow))
    calls = [stub.ModelInfer.future(message("slow")) for _ in range(40)]
    until(lambda: sum(call.done() for call in calls) >= 28)

    refusals = {call.code() for call in calls if call.done()}
    assert refusals == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=WAIT_S).live


def test_the_bytes_of_all_requests_together_are_limited(
    serve, slow, stub_of, release, monkeypatch
):
    monkeypatch.setattr(inference_core, "MAX_HELD_BYTES", 6000)
    server = serve(slow, echo(), http_port=0)
    stub = stub_of(server)
    first = stub.ModelInfer.future(message("slow", 1000))  # 4000 bytes
    until(lambda: server._core.held._n_bytes > 4000)

    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(message(n_floats=1000), timeout=WAIT_S)
    with connected(server, posted("echo", 1000)) as connection:
        status = status_on(connection)
    release.set()
    assert first.result().model_name == "slow"
    until(lambda: server._core.held._n_bytes == 0)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert status == 503
    assert stub.ModelInfer(message(n_floats=1000), timeout=WAIT_S).model_name == "echo"


def test_a_body_of_the_claimed_size_is_refused_before_it_comes(serve):
    claim = {"Content-Length": 300 * 1024**2}
    with connected(serve(echo(), http_port=0), posted("echo", **claim)) as connection:
        assert status_on(connection) == 413


def test_a_connection_without_a_request_is_closed(serve, monkeypatch):
    monkeypatch.setattr(endpoint, "FIRST_REQUEST_S", 0.1)
    server = serve(echo(), http_port=0)
    with (
        connected(server, LIVE) as used,
        connected(server) as silent,
        connected(server, LIVE[:-2]) as half,
    ):
        assert status_on(used) == 200
        assert silent.recv(1) == half.recv(1) == b""
        used.sendall(LIVE)
        assert status_on(used) == 200


def test_the_connections_of_a_port_are_limited(serve, monkeypatch):
    monkeypatch.setattr(endpoint, "MAX_CONNECTIONS", 3)
    server = serve(echo(), http_port=0)
    held = [connected(server, LIVE) for _ in range(3)]
    assert [status_on(each) for each in held] == [200, 200, 200]
    with connected(server) as one_more:
        assert status_on(one_more) == 503
    for each in held:
        each.sendall(LIVE)
        assert status_on(each) == 200
        each.close()


def test_a_body_that_does_not_come_is_not_waited_for(serve, monkeypatch):
    monkeypatch.setattr(service, "BODY_S", 0.1)
    begun = posted("echo", **{"Content-Length": 1000})
    with connected(serve(echo(), http_port=0), begun) as connection:
        assert status_on(connection) == 400
