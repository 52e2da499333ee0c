"""Compression, chunks, connections, headers."""

import gzip
import http.client
import json
import zlib

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2_grpc

PATH = "/v2/models/add_sub/infer"
ROW = list(range(16))
REQUEST = json.dumps(
    {
        "inputs": [
            {"name": name, "datatype": "INT32", "shape": [1, 16], "data": ROW}
            for name in ("INPUT0", "INPUT1")
        ]
    }
).encode()
COMPRESS = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}
DECOMPRESS = {"gzip": gzip.decompress, "deflate": zlib.decompress}


def total(body):
    return json.loads(body)["outputs"][1]["data"]


@pytest.mark.parametrize("encoding", COMPRESS)
def test_request_may_be_compressed(http_call, encoding):
    answer = http_call(
        "POST", PATH, COMPRESS[encoding](REQUEST), {"Content-Encoding": encoding}
    )

    assert answer.status == 200
    assert total(answer.body) == [2 * n for n in ROW]


@pytest.mark.parametrize("encoding", ["br", "zstd", "nonsense"])
def test_other_compression_is_refused(http_call, refused, encoding):
    answer = http_call("POST", PATH, REQUEST, {"Content-Encoding": encoding})

    assert answer.error == refused(501, "unsupported compression")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_body_that_is_not_compressed_as_said(http_call, encoding):
    answer = http_call("POST", PATH, REQUEST, {"Content-Encoding": encoding})

    assert answer.status == 400


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("identity", None),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0, deflate;q=0.1", "deflate"),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("*", None),
        ("br", None),
        ("br, gzip", "gzip"),
    ],
)
def test_answer_is_compressed_as_accepted(http_call, accepted, used):
    answer = http_call("POST", PATH, REQUEST, {"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == used
    body = DECOMPRESS[used](answer.body) if used else answer.body
    assert total(body) == [2 * n for n in ROW]


def test_compressed_binary_answer_keeps_the_length_of_its_header(http_call):
    request = json.loads(REQUEST) | {"parameters": {"binary_data_output": True}}

    answer = http_call(
        "POST", PATH, json.dumps(request).encode(), {"Accept-Encoding": "gzip"}
    )

    body = gzip.decompress(answer.body)
    size = int(answer.headers["inference-header-content-length"])
    assert len(json.loads(body[:size])["outputs"]) == 2
    assert len(body) - size == 2 * 64


def test_body_may_come_in_chunks(server):
    connection = http.client.HTTPConnection(server.http, timeout=20)
    connection.request(
        "POST",
        PATH,
        iter([REQUEST[:10], REQUEST[10:11], REQUEST[11:]]),
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )
    response = connection.getresponse()

    assert response.status == 200
    assert total(response.read()) == [2 * n for n in ROW]
    connection.close()


def test_connection_is_kept_for_further_requests(server):
    connection = http.client.HTTPConnection(server.http, timeout=20)
    ports = set()
    for body in (REQUEST, b"{", REQUEST):
        connection.request("POST", PATH, body)
        ports.add(connection.sock.getsockname()[1])
        connection.getresponse().read()
    connection.close()

    assert len(ports) == 1


@pytest.mark.parametrize(
    "compression", [grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_grpc_may_be_compressed(server, grpc_ask, compression):
    row = np.arange(16, dtype=np.int32).reshape(1, 16)
    request = grpc_ask.request("add_sub", {"INPUT0": row, "INPUT1": row})

    with grpc.insecure_channel(server.grpc, compression=compression) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer = grpc_ask.answer(stub.ModelInfer(request, timeout=20))

    assert answer.values("OUTPUT0", "<i4") == [2 * n for n in ROW]


def test_bytes_that_are_no_message_are_refused(server):
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as error:
            call(b"\xff\xff\xff", timeout=20)

    assert error.value.code() is grpc.StatusCode.INTERNAL
