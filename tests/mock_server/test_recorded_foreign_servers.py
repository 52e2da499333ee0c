"""A server that is recorded may answer anything: it never ends in a bug of ours."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import grpc
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from mock_server.cassette import ConfigurationError, Upstream
from mock_server.errors import ModelError
from mock_server.wire.codec import decode
from mock_server.wire.inference import InferenceRequest
from tests.fuzz.mutation import Mutator

CONFIG = """
name: "m" backend: "python"
input [{ name: "X" data_type: TYPE_FP32 dims: [-1] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [-1] }]
"""


def metadata(**fields):
    made = service_pb2.ModelMetadataResponse(name="m", versions=["1", "12"])
    made.MergeFrom(service_pb2.ModelMetadataResponse(**fields))
    return made


def config(text=CONFIG):
    made = text_format.Parse(text, model_config_pb2.ModelConfig())
    return service_pb2.ModelConfigResponse(config=made)


def answer(datatype="FP32", shape=(2,), data=bytes(8), **fields):
    made = service_pb2.ModelInferResponse(model_name="m", model_version="1", **fields)
    made.outputs.add(name="Y", datatype=datatype, shape=shape)
    made.raw_output_contents.append(data)
    return made


class Canned(grpc.GenericRpcHandler):
    def __init__(self):
        self.answers = {}

    def service(self, details):
        rpc = details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self.answers[rpc]
        )


@pytest.fixture(scope="module")
def server():
    with ExitStack() as stack:
        handler = Canned()
        running = grpc.server(stack.enter_context(ThreadPoolExecutor(2)))
        running.add_generic_rpc_handlers((handler,))
        port = running.add_insecure_port("127.0.0.1:0")
        running.start()
        stack.callback(lambda: running.stop(None).wait())
        handler.upstream = stack.enter_context(Upstream(f"127.0.0.1:{port}"))
        yield handler


def describe(server, metadata, config):
    server.answers["ModelMetadata"] = metadata.SerializeToString()
    server.answers["ModelConfig"] = config.SerializeToString()
    return server.upstream.described(["m"])["m"]


def ask(server, content, **fields):
    server.answers["ModelInfer"] = content
    request = InferenceRequest(model_name="m", **fields)
    (response,) = server.upstream.ask(request, is_decoupled=False)
    return response


def test_a_model_is_described_in_its_highest_version(server):
    assert describe(server, metadata(), config())[1] == "12"


@pytest.mark.parametrize(
    ("described", "configured"),
    [
        (metadata(versions=["x"]), config()),
        (service_pb2.ModelMetadataResponse(name="m"), config()),
        (metadata(), config('name: "m"')),
        (metadata(), config(CONFIG.replace('"m"', '"n"'))),
        (metadata(), config(CONFIG.replace("TYPE_FP32", "77"))),
        (metadata(), config(CONFIG + "max_batch_size: -1")),
    ],
    ids=["version", "no version", "no tensors", "name", "datatype", "batch"],
)
def test_a_description_that_no_model_has_is_refused(server, described, configured):
    with pytest.raises(ConfigurationError, match="describes model 'm' as none can be"):
        describe(server, described, configured)


@pytest.mark.parametrize(
    "content",
    [
        answer(shape=(3,)),
        answer(shape=(-2, -1)),
        answer(shape=(2**62, 4), data=b""),
        answer(datatype="FOO"),
        answer(datatype="BYTES", data=b"\xff\0\0\0"),
        answer(raw_output_contents=[b"more"]),
    ],
    ids=["short", "negative", "wraps", "datatype", "cut off", "more"],
)
def test_an_answer_that_fills_no_tensor_is_an_error(server, content):
    response = ask(server, content.SerializeToString())

    assert "answer is malformed" in response.error.message


def test_numbers_beyond_the_protocol_are_no_bug(server):
    content = answer().SerializeToString()

    assert ask(server, content, correlation_id=2**64 - 1).error is None
    assert "64 bits" in ask(server, content, parameters={"a": 2**64}).error.message


def test_changed_answers_are_read_or_refused(server):
    mutator = Mutator(random.Random(1))
    for _ in range(400):
        with suppress(ModelError, ConfigurationError):
            describe(server, mutator.message(metadata()), mutator.message(config()))
        content = mutator.message(answer()).SerializeToString()
        if mutator.chance(0.3):
            content = mutator.bytes(content)
        response = ask(server, content)
        for tensor in response.outputs:
            decode(tensor.data, tensor.datatype, tensor.shape)
