"""Texts: answers of Triton Inference Server 2.51 to the same requests."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mock_server import MockServer, Model, TensorSpec

NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch "
    "dimension to be prepended to each input shape. If you want to specify the full "
    "shape including the batch dim in your input dims config, try setting "
    "max_batch_size to zero. See the model configuration docs for more info on "
    "max_batch_size."
)


def model(name, *inputs, **options):
    return Model(
        name=name,
        inputs=[TensorSpec(*spec) for spec in inputs],
        outputs=[TensorSpec("O", "INT32", (-1,))],
        function=lambda tensors: {},
        **options,
    )


MODELS = (
    model("one", ("I", "INT32", (16,))),
    model("two", ("I0", "INT32", (2,)), ("I1", "INT32", (2,))),
    model("text", ("I", "BYTES", (-1,))),
    model("half", ("I", "FP16", (1,))),
    model("batch", ("I0", "INT32", (16,)), ("I1", "INT32", (16,)), max_batch_size=8),
)


@pytest.fixture(scope="module")
def stub():
    with (
        MockServer(MODELS) as server,
        grpc.insecure_channel(server.url.removeprefix("grpc://")) as channel,
    ):
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def raw(name, shape, data, datatype="INT32"):
    return {"name": name, "shape": shape, "datatype": datatype, "raw": data}


def typed(name, shape, datatype="INT32", **contents):
    return {"name": name, "shape": shape, "datatype": datatype, "contents": contents}


def infer(stub, model_name, *inputs, request_id="", outputs=()):
    request = service_pb2.ModelInferRequest(model_name=model_name, id=request_id)
    for given_input in inputs:
        fields = dict(given_input)
        if "raw" in fields:
            request.raw_input_contents.append(fields.pop("raw"))
        request.inputs.add(**fields)
    for name in outputs:
        request.outputs.add(name=name)
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(request)
    return error.value


# The request, and whether its id is named in the answer, and the answer.
CASES = {
    "input missing": (
        ("two", raw("I0", [2], bytes(8))),
        "[R] expected 2 inputs but got 1 inputs for model 'two'. Got input(s) ['I0'], "
        "but missing required input(s) ['I1']. Please provide all required input(s).",
    ),
    "all inputs missing": (
        ("two",),
        "[R] expected 2 inputs but got 0 inputs for model 'two'. Got input(s) [], but "
        "missing required input(s) ['I0','I1']. Please provide all required input(s).",
    ),
    "too many inputs": (
        ("one", raw("I", [16], bytes(64)), raw("J", [16], bytes(64))),
        "[R] expected 1 inputs but got 2 inputs for model 'one'. Got input(s) "
        "['J','I'], but missing required input(s) ]. Please provide all required "
        "input(s).",
    ),
    "unknown input": (
        ("one", raw("X", [16], bytes(64))),
        "unexpected inference input 'X' for model 'one'",
    ),
    "input twice": (
        ("two", raw("I0", [2], bytes(8)), raw("I0", [2], bytes(8))),
        "[R] input 'I0' already exists in request",
    ),
    "datatype": (
        ("one", raw("I", [16], bytes(64), "FP32")),
        "[R] inference input 'I' data-type is 'FP32', but model 'one' expects 'INT32'",
    ),
    "datatype unknown": (
        ("one", raw("I", [16], bytes(64), "int")),
        "[R] inference input 'I' data-type is '<invalid>', but model 'one' expects "
        "'INT32'",
    ),
    "shape": (
        ("one", raw("I", [5], bytes(20))),
        "[R] unexpected shape for input 'I' for model 'one'. Expected [16], got [5]. ",
    ),
    "rank": (
        ("one", raw("I", [1, 16], bytes(64))),
        "[R] unexpected shape for input 'I' for model 'one'. Expected [16], got "
        "[1,16]. ",
    ),
    "shape of a batching model": (
        ("batch", raw("I0", [1, 15], bytes(60)), raw("I1", [1, 16], bytes(64))),
        "[R] unexpected shape for input 'I0' for model 'batch'. Expected [-1,16], got "
        f"[1,15]. {NOTE}",
    ),
    "batch too large": (
        ("batch", raw("I0", [9, 16], bytes(576)), raw("I1", [9, 16], bytes(576))),
        "[R] inference request batch-size must be <= 8 for 'batch'",
    ),
    "batches that differ": (
        ("batch", raw("I0", [2, 16], bytes(128)), raw("I1", [1, 16], bytes(64))),
        "[R] input 'I0' batch size does not match other inputs for 'batch'",
    ),
    "no batch dimension": (
        ("batch", raw("I0", [], bytes(4)), raw("I1", [1, 16], bytes(64))),
        "[R] input 'I0' has no shape but model requires batch dimension for 'batch'",
    ),
    "free dimension": (
        ("text", raw("I", [-1], b"", "BYTES")),
        "[R] All input dimensions should be specified for input 'I' for model 'text', "
        "got [-1]",
    ),
    "raw bytes too few": (
        ("one", raw("I", [16], bytes(60))),
        "[R] input byte size mismatch for input 'I' for model 'one'. Expected 64, got "
        "60",
    ),
    "typed values too few": (
        ("one", typed("I", [16], int_contents=[1] * 15)),
        "[R] input byte size mismatch for input 'I' for model 'one'. Expected 64, got "
        "60",
    ),
    "strings too few": (
        ("text", raw("I", [2], b"\1\0\0\0a", "BYTES")),
        "[R] expected 2 string elements for inference input 'I' for model 'text', got "
        "1",
    ),
    "strings too many": (
        ("text", raw("I", [1], b"\1\0\0\0a\1\0\0\0b", "BYTES")),
        "[R] unexpected number of string elements 2 for inference input 'I' for model "
        "'text', expecting 1",
    ),
    "string cut off": (
        ("text", raw("I", [1], b"\xff\0\0\0ab", "BYTES")),
        "incomplete string data for inference input 'I', expecting string of length "
        "255 but only 2 bytes available",
    ),
    "string length cut off": (
        ("text", raw("I", [2], b"\1\0\0\0a\1\0\0", "BYTES")),
        "[R] incomplete string length indicator for inference input 'I' for model "
        "'text', expecting 4 bytes but only 3 bytes available. Please make sure the "
        "string length indicator is in one buffer.",
    ),
    "raw and typed": (
        ("one", typed("I", [16], int_contents=[1] * 16) | {"raw": bytes(64)}),
        "contents field must not be specified when using raw_input_contents for 'I' "
        "for model 'one'",
    ),
    "no data": (
        ("one", {"name": "I", "shape": [16], "datatype": "INT32"}),
        "unable to find data for input tensor 'I' for model 'one' in request.",
    ),
    "wrong typed field": (
        ("one", typed("I", [16], fp32_contents=[1.0] * 16)),
        "unexpected explicit tensor data for input tensor 'I' for model 'one' of type "
        "'FP32', expected datatype 'INT32'",
    ),
    "no typed field for the datatype": (
        ("half", typed("I", [1], "FP16", fp32_contents=[1.0])),
        "unexpected explicit tensor data for input tensor 'I' for model 'half' of type "
        "'FP32', expected datatype 'FP16'",
    ),
}


@pytest.mark.parametrize(("request_", "text"), CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("request_id", "prefix"),
    [("", "[request id: <id_unknown>]"), ("ev 7", "[request id: ev 7]")],
    ids=["no id", "id"],
)
def test_wrong_request_is_refused_in_tritons_words(
    stub, request_, text, request_id, prefix
):
    error = infer(stub, *request_, request_id=request_id)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == text.replace("[R]", prefix)


def test_unknown_output_is_refused(stub):
    error = infer(stub, "one", raw("I", [16], bytes(64)), outputs=["O", "X"])

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "unexpected inference output 'X' for model 'one'"


def test_more_raw_data_than_inputs_is_ignored(stub):
    request = service_pb2.ModelInferRequest(
        model_name="one", raw_input_contents=[bytes(64), b"more"]
    )
    request.inputs.add(name="I", shape=[16], datatype="INT32")

    assert stub.ModelInfer(request).model_name == "one"


tensors = st.builds(
    service_pb2.ModelInferRequest.InferInputTensor,
    name=st.sampled_from(["I", "I0", "I1", "", "µ"]),
    datatype=st.sampled_from(["INT32", "BYTES", "FP16", ""]),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4), max_size=3),
)


@given(
    model_name=st.sampled_from([m.name for m in MODELS]),
    inputs=st.lists(tensors, max_size=3),
    data=st.lists(st.binary(max_size=12), max_size=3),
)
def test_malformed_request_gets_an_error_that_says_so(stub, model_name, inputs, data):
    request = service_pb2.ModelInferRequest(
        model_name=model_name, inputs=inputs, raw_input_contents=data
    )

    refusal = stub.ModelInfer.future(request).exception()

    if refusal is not None:
        assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.details()
