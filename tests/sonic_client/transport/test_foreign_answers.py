"""Answers that no KServe server gives: each ends in an error that is the client's own.

Most were found by ``tests/fuzz``; the servers here answer with given bytes.
"""

import asyncio
import contextlib
import gzip
import json

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    Client,
    ClientConfig,
    InvalidAnswerError,
    Request,
    ServerConfig,
    ServerError,
)
from sonic_client.transport import InferCall
from sonic_client.transport.grpc import GrpcTransport
from sonic_client.transport.http import HttpTransport

WAIT_S = 30.0
CALL = InferCall(
    model_name="m",
    model_version="",
    request_id="7",
    inputs={"X": np.zeros((3, 3), np.float32)},
)
NESTED = b"[" * 100_000
LENGTH = "Inference-Header-Content-Length"
METADATA = {
    "name": "m",
    "versions": ["1"],
    "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "Y", "datatype": "INT64", "shape": [-1]}],
}
CONFIG = {"name": "m", "input": []}


def http_answer(content, *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
    lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def inference(*tensors, length=None, tail=b"", **fields):
    """An answer over HTTP with tensors of (datatype, shape, data)."""
    header = {
        "id": "7",
        "outputs": [
            {
                "name": "Y",
                "datatype": datatype,
                "shape": shape,
                "parameters": {"binary_data_size": len(data)},
            }
            for datatype, shape, data in tensors
        ],
        **fields,
    }
    text = json.dumps(header).encode()
    data = b"".join(each[2] for each in tensors)
    header_length = f"{LENGTH}: {len(text) if length is None else length}"
    return http_answer(text + data + tail, header_length)


def message(*tensors, **fields):
    """The same over gRPC."""
    made = service_pb2.ModelInferResponse(model_name="m", id="7")
    for datatype, shape, data in tensors:
        made.outputs.add(name="Y", datatype=datatype, shape=shape)
        made.raw_output_contents.append(data)
    made.MergeFrom(service_pb2.ModelInferResponse(**fields))
    return made.SerializeToString()


async def over_http(raw, ask):
    """Ask a server that answers every question with these bytes."""

    async def answer(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = HttpTransport(ServerConfig(url=f"http://127.0.0.1:{port}"))
    await transport.open()
    try:
        return await ask(transport)
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()


class Canned(grpc.GenericRpcHandler):
    """Answers every RPC with the next of some messages, and then with the last."""

    def __init__(self, *messages):
        self.messages = list(messages)

    def service(self, details):
        def answer(request, context):
            return self.messages.pop(0) if len(self.messages) > 1 else self.messages[0]

        return grpc.unary_unary_rpc_method_handler(answer)


async def over_grpc(messages, ask):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers((Canned(*messages),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        transport = GrpcTransport(ServerConfig(url=f"grpc://127.0.0.1:{port}"))
        await transport.open()
        try:
            return await ask(transport)
        finally:
            await transport.close()
            server.stop(None).wait()


def infer(transport):
    return transport.infer(CALL, timeout_s=WAIT_S)


def describe(transport):
    return transport.describe("m", "", timeout_s=WAIT_S)


INT64 = ("INT64", [1], bytes(8))


@pytest.mark.parametrize(
    "raw",
    [
        inference(INT64, length="abc"),
        inference(INT64, length="-5"),
        inference(INT64, length="99999"),
        http_answer(NESTED),
        inference(("BYTES", [10**8], b"")),
        inference(("BYTES", [2**45], b"")),
        inference(("INT64", [1e999], bytes(8))),
        inference(("INT64", [2**62] * 50_000, bytes(8))),
        inference(INT64, tail=b"garbage"),
        inference(INT64, id="8"),
        inference(INT64, ("INT64", [1], b"\1" * 8)),
        http_answer(b"", "Location: http://other/", status="302 Found"),
        http_answer(b"", status="204 No Content"),
        http_answer(b"<html>Please log in.</html>"),
    ],
    ids=[
        *("length abc", "negative length", "length beyond", "nested", "1e8 strings"),
        *("2**45 strings", "infinite", "many dimensions", "more data", "another id"),
        *("two of a name", "redirect", "nothing", "page"),
    ],
)
def test_an_answer_over_http_that_is_none_is_an_error_of_ours(raw):
    with pytest.raises(InvalidAnswerError) as refused:
        asyncio.run(over_http(raw, infer))

    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [
        message(("BYTES", [10**8], b"")),
        message(("BYTES", [2**45], b"")),
        message(("INT64", [2**62] * 50_000, bytes(8))),
        message(INT64, id="8"),
        message(INT64, ("INT64", [1], b"\1" * 8)),
    ],
    ids=["1e8 strings", "2**45 strings", "dimensions", "another id", "two of a name"],
)
def test_an_answer_over_grpc_that_is_none_is_an_error_of_ours(content):
    with pytest.raises(InvalidAnswerError) as refused:
        asyncio.run(over_grpc([content], infer))

    assert len(str(refused.value)) < 1000


def changed(**members):
    return json.dumps({**METADATA, **members}).encode()


def tensor(**members):
    return [{"name": "Y", "datatype": "INT64", "shape": [-1], **members}]


@pytest.mark.parametrize(
    "raw",
    [
        http_answer(NESTED),
        http_answer(changed(outputs=tensor(shape=[1e999]))),
        http_answer(changed(outputs=tensor(shape=[-2]))),
        http_answer(changed(outputs=tensor(name=["Y"]))),
        http_answer(changed(outputs=tensor(datatype="FOO"))),
        http_answer(changed(versions=[["1"], ["2"]])),
        http_answer(b" " * 2**23 + changed()),
        http_answer(gzip.compress(bytes(2**26)), "Content-Encoding: gzip"),
    ],
    ids=[
        *("nested", "infinite", "negative", "name", "datatype", "versions", "long"),
        "explodes",
    ],
)
def test_a_description_over_http_that_is_none_is_an_error_of_ours(raw):
    with pytest.raises(InvalidAnswerError):
        asyncio.run(over_http(raw, describe))


@pytest.mark.parametrize(
    "messages",
    [
        [b"\xff\xff"],
        [
            service_pb2.ModelMetadataResponse(name="m").SerializeToString(),
            service_pb2.ModelConfigResponse().SerializeToString(),
        ],
    ],
    ids=["no message", "no configuration"],
)
def test_a_description_over_grpc_that_is_none_is_an_error_of_ours(messages, caplog):
    with pytest.raises(InvalidAnswerError):
        asyncio.run(over_grpc(messages, describe))

    assert not [record for record in caplog.records if record.exc_info]


def test_a_description_over_grpc_is_read_up_to_a_limit():
    long = service_pb2.ModelMetadataResponse(name="m" * 2**23).SerializeToString()

    with pytest.raises(ServerError, match="larger than max"):
        asyncio.run(over_grpc([long], describe))


def test_the_text_of_an_error_is_read_up_to_a_limit():
    long = http_answer(b"x" * 2**24, status="500 Internal")

    with pytest.raises(ServerError) as failed:
        asyncio.run(over_http(long, infer))

    assert len(failed.value.details) < 2**17


@pytest.fixture
def hostile():
    """Address of a gRPC server that describes the model well and infers badly."""
    from concurrent.futures import ThreadPoolExecutor

    def start(answer, good):
        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                def respond(request, context):
                    if details.method.endswith("/ModelInfer"):
                        return answer
                    return good.unary_unary(details.method, None, None)(request)

                return grpc.unary_unary_rpc_method_handler(respond)

        server = grpc.server(stack.enter_context(ThreadPoolExecutor(8)))
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        return f"grpc://127.0.0.1:{port}"

    with contextlib.ExitStack() as stack:
        yield start


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff",
        message(("BYTES", [2**45], b"")),
        message(("BYTES", [10**6], bytes(4 * 10**6))),
        message(("INT64", [-1], bytes(8))),
        message(INT64, id="another"),
    ],
    ids=["no message", "claim", "other type", "negative", "another id"],
)
def test_beside_a_hostile_server_all_events_are_answered(hostile, answer):
    x, y = Served("X", "FP32", (-1, 3)), Served("Y", "INT64", (-1,))
    model = Model("m", [x], [y], lambda t: {"Y": np.arange(len(t["X"]))})
    requests = [Request(n, {"X": np.zeros((n + 1, 3), np.float32)}) for n in range(20)]

    with (
        MockServer([model]) as good,
        grpc.insecure_channel(good.url.removeprefix("grpc://")) as channel,
    ):
        servers = [hostile(answer, channel), good.url]
        with Client(ClientConfig(servers=servers, model_name="m")) as client:
            outcomes = list(client.map(requests))

    assert all(isinstance(each, Answer) for each in outcomes)
    assert [len(each.outputs["Y"]) for each in outcomes] == list(range(1, 21))
