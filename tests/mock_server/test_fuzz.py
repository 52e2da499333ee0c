"""Malformed requests: always an error that a client can read, never a crash or a hang.

Half of the requests are valid ones with bytes changed, which get further into the
server than noise does; the others are noise. All are drawn from a seed.
"""

import http.client
import json
import random
import socket
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from mock_server import MockServer, Model, TensorSpec

WAIT_S = 20.0
RPCS = (
    "ModelInfer",
    "ModelConfig",
    "ModelMetadata",
    "ModelReady",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "ServerMetadata",
)
PATHS = (
    "/v2/models/echo/infer",
    "/v2/models/echo/generate",
    "/v2/models/echo/generate_stream",
    "/v2/models/echo",
    "/v2/repository/index",
    "/v2/repository/models/echo/load",
    "/v2/systemsharedmemory/region/R/register",
    "/v2/cudasharedmemory/region/R/register",
)
NUMBERS = (b"-1", b"99999999999999999999", b"1e999", b"NaN", b"null", b"{}", b"[]")


def echo():
    return Model(
        "echo",
        [
            TensorSpec("X", "FP32", (-1, 3)),
            TensorSpec("TEXT", "BYTES", (-1,), is_optional=True),
        ],
        [TensorSpec("Y", "FP32", (-1, 3))],
        lambda tensors: {"Y": tensors["X"]},
    )


def valid_message():
    message = service_pb2.ModelInferRequest(model_name="echo", id="7")
    message.inputs.add(name="X", datatype="FP32", shape=[2, 3])
    message.inputs.add(name="TEXT", datatype="BYTES", shape=[1])
    message.raw_input_contents.extend([np.ones(6, "f4").tobytes(), b"\2\0\0\0ab"])
    message.outputs.add(name="Y").parameters["classification"].int64_param = 2
    message.parameters["sequence_id"].int64_param = 3
    return message.SerializeToString()


def valid_body():
    header = {
        "id": "7",
        "inputs": [
            {"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]},
            {
                "name": "TEXT",
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"binary_data_size": 6},
            },
        ],
        "outputs": [{"name": "Y", "parameters": {"binary_data": True}}],
        "parameters": {"sequence_id": 3, "priority": 1},
    }
    return json.dumps(header).encode()


def damaged(draw, content):
    """The content with a few bytes changed, taken out, doubled, or put in."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        length = draw.randint(0, 6)
        new = draw.choice(
            (b"", draw.randbytes(length), bytes(data[at : at + 9]) * 2, *NUMBERS)
        )
        data[at : at + length] = new
    return bytes(data)


def malformed(draw, valid):
    return damaged(draw, valid) if draw.random() < 0.5 else draw.randbytes(40)


class GrpcFuzzer:
    """Sends bytes as the message of any RPC."""

    def __init__(self, server):
        self._channel = grpc.insecure_channel(server.url.removeprefix("grpc://"))
        service = "/inference.GRPCInferenceService/"
        self._calls = {
            name: self._channel.unary_unary(service + name, None, None) for name in RPCS
        }
        self._stream = self._channel.stream_stream(
            service + "ModelStreamInfer", None, None
        )

    def send(self, draw):
        message = malformed(draw, valid_message())
        try:
            if draw.random() < 0.2:
                list(self._stream(iter([message, message]), timeout=WAIT_S))
            else:
                name = "ModelInfer" if draw.random() < 0.6 else draw.choice(RPCS)
                self._calls[name](message, timeout=WAIT_S)
        except grpc.RpcError as error:
            check_error(error, message)

    def close(self):
        self._channel.close()


def check_error(error, message):
    """Neither of gRPC's ways to say that nobody foresaw this; and a text."""
    found = error.code(), error.details(), message
    assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED, found
    assert "calling application" not in error.details(), found
    assert error.details(), found


class HttpFuzzer:
    """Sends any body, path and header over one connection."""

    def __init__(self, server):
        self._address = server.http_url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self._address, timeout=WAIT_S)

    def send(self, draw):
        valid = valid_body()
        body = malformed(draw, valid) + (b"\2\0\0\0ab" if draw.random() < 0.5 else b"")
        path = PATHS[0] if draw.random() < 0.5 else draw.choice(PATHS)
        method = "POST" if draw.random() < 0.9 else draw.choice(("GET", "PUT"))
        headers = {}
        if draw.random() < 0.6:
            headers["Inference-Header-Content-Length"] = str(
                draw.choice((len(valid), 0, -1, 7, 10**30, "x"))
            )
        if draw.random() < 0.2:
            headers["Content-Encoding"] = draw.choice(("gzip", "deflate", "br"))
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 400 and b"data: " not in answer[:6]:
            assert isinstance(json.loads(answer)["error"], str), (path, body)

    def send_noise(self, draw):
        """Bytes that need not be HTTP at all, on a connection of their own."""
        host, port = self._address.split(":")
        head = f"POST {PATHS[0]} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        with socket.create_connection((host, int(port)), timeout=WAIT_S) as raw:
            raw.sendall(damaged(draw, head.encode()))
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass

    def close(self):
        self._connection.close()


def n_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def fuzz(n_requests, seed):
    """Send so many requests, half of them over each protocol."""
    draw = random.Random(seed)
    threads = set(threading.enumerate())
    with MockServer([echo()], http_port=0, max_message_bytes=2**24) as server:
        by_grpc, by_http = GrpcFuzzer(server), HttpFuzzer(server)
        for number in range(n_requests // 2):
            by_grpc.send(draw)
            if number % 10:
                by_http.send(draw)
            else:
                by_http.send_noise(draw)
            if number == n_requests // 10:
                descriptors = n_descriptors()
        assert n_descriptors() <= descriptors + 2
        by_grpc.close()
        by_http.close()
        check_that_it_still_serves(server)
    assert set(threading.enumerate()) == threads


def check_that_it_still_serves(server):
    connection = http.client.HTTPConnection(server.http_url.removeprefix("http://"))
    body = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3]}]}
    body["inputs"][0]["data"] = [1, 2, 3]
    connection.request("POST", PATHS[0], json.dumps(body))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["outputs"][0]["data"] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("seed", [1, 2])
def test_malformed_requests_get_an_error_that_can_be_read(seed):
    fuzz(1500, seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_malformed_requests():
    fuzz(100_000, seed=3)
