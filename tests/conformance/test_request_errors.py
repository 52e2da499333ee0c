"""Requests that are wrong, by the codes and texts of either protocol."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

ROW = np.zeros((1, 16), np.int32)
GOOD = {"INPUT0": ROW, "INPUT1": ROW}
RAW = ROW.tobytes()
BATCH_NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch "
    "dimension to be prepended to each input shape. If you want to specify the full "
    "shape including the batch dim in your input dims config, try setting "
    "max_batch_size to zero. See the model configuration docs for more info on "
    "max_batch_size."
)
UNKNOWN_ID = "[request id: <id_unknown>] "


def count_text(expected, given, missing, model="add_sub"):
    got = len(given.split(",")) if given != "[]" else 0
    return (
        f"expected {expected} inputs but got {got} inputs for model '{model}'. Got "
        f"input(s) {given}, but missing required input(s) {missing}. Please provide "
        "all "
        "required input(s)."
    )


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("nowhere", "", "Request for unknown model: 'nowhere' is not found"),
        ("broken", "", "Request for unknown model: 'broken' is not found"),
        (
            "add_sub",
            "9",
            "Request for unknown model: 'add_sub' version 9 is not found",
        ),
    ],
)
def test_unknown_model_is_not_found(ask, name, version, text):
    assert ask(name, GOOD, version=version) == ask.refusal("NOT_FOUND", text)


def test_unknown_model_answers_in_plain_text_over_http(http_json):
    answer = http_json("/v2/models/nowhere/infer", {"inputs": []})

    assert answer.headers["content-type"] == "text/plain"


def test_model_without_a_name_is_not_found(grpc_ask):
    assert grpc_ask("", GOOD) == grpc_ask.refusal(
        "NOT_FOUND", "Request for unknown model: '' is not found"
    )


def test_version_that_is_no_number(grpc_ask):
    assert grpc_ask("add_sub", GOOD, version="abc") == grpc_ask.refusal(
        "INVALID_ARG",
        "failed to get model version from specified version string 'abc' "
        "(details: stol), version should be an integral value > 0",
    )


@pytest.mark.parametrize(
    ("model", "inputs", "text"),
    [
        (
            "add_sub",
            {"INPUT0": ROW},
            count_text(2, "['INPUT0']", "['INPUT1']"),
        ),
        ("add_sub", {}, count_text(2, "[]", "['INPUT0','INPUT1']")),
        (
            "add_sub",
            {**GOOD, "INPUT2": ROW},
            count_text(2, "['INPUT2','INPUT1','INPUT0']", "]"),
        ),
        (
            "optional",
            {},
            "expected number of inputs between 1 and 2 but got 0 inputs for model "
            "'optional'. Got input(s) [], but missing required input(s) ['NEEDED']. "
            "Please provide all required input(s).",
        ),
    ],
    ids=["one", "none", "three", "optional"],
)
def test_wrong_number_of_inputs(ask, model, inputs, text):
    assert ask(model, inputs, id="7") == ask.refusal(
        "INVALID_ARG", f"[request id: 7] {text}"
    )


def test_error_of_a_request_without_id_says_so(ask):
    assert ask("add_sub", {"INPUT0": ROW}) == ask.refusal(
        "INVALID_ARG", UNKNOWN_ID + count_text(2, "['INPUT0']", "['INPUT1']")
    )


def test_unknown_input(ask):
    assert ask("add_sub", {"INPUT0": ROW, "INPUT9": ROW}) == ask.refusal(
        "INVALID_ARG", "unexpected inference input 'INPUT9' for model 'add_sub'"
    )


def test_input_given_twice(ask):
    twice = [("INPUT0", "INT32", (1, 16), RAW), ("INPUT0", "INT32", (1, 16), RAW)]

    assert ask("add_sub", twice) == ask.refusal(
        "INVALID_ARG", UNKNOWN_ID + "input 'INPUT0' already exists in request"
    )


def test_unknown_output(ask):
    assert ask("add_sub", GOOD, outputs=["OUTPUT9"]) == ask.refusal(
        "INVALID_ARG", "unexpected inference output 'OUTPUT9' for model 'add_sub'"
    )


def sent(datatype="INT32", shape=(1, 16), data=RAW):
    return [("INPUT0", datatype, shape, data), ("INPUT1", "INT32", (1, 16), RAW)]


@pytest.mark.parametrize("datatype", ["FP32", "UINT32", "BYTES", "BOOL", "BF16"])
def test_other_datatype(ask, datatype):
    assert ask("add_sub", sent(datatype)) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + f"inference input 'INPUT0' data-type is '{datatype}', but model "
        "'add_sub' expects 'INT32'",
    )


@pytest.mark.parametrize("datatype", ["NONSENSE", "int32", "TYPE_INT32", ""])
def test_datatype_that_is_none(ask, datatype):
    assert ask("add_sub", sent(datatype)) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + "inference input 'INPUT0' data-type is '<invalid>', but model "
        "'add_sub' expects 'INT32'",
    )


@pytest.mark.parametrize(
    ("shape", "text"), [((1, 15), "[1,15]"), ((16,), "[16]"), ((1, 4, 4), "[1,4,4]")]
)
def test_other_shape_of_a_batching_model(ask, shape, text):
    one = np.zeros(shape, np.int32)
    other = np.zeros((shape[0], 16), np.int32)

    assert ask("add_sub", {"INPUT0": one, "INPUT1": other}) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID
        + (
            "inference request batch-size must be <= 8 for 'add_sub'"
            if shape == (16,)
            else f"unexpected shape for input 'INPUT0' for model 'add_sub'. Expected "
            f"[-1,16], got {text}. {BATCH_NOTE}"
        ),
    )


@pytest.mark.parametrize(
    ("model", "name", "array", "expected", "got"),
    [
        ("versions", "X", np.zeros(5, np.int32), "[1]", "[5]"),
        ("versions", "X", np.zeros((1, 1), np.int32), "[1]", "[1,1]"),
        ("types", "X_GRID", np.zeros((2, 2, 4), np.float32), "[-1,-1,3]", "[2,2,4]"),
        ("types", "X_FP32", np.zeros((2, 2), np.float32), "[-1]", "[2,2]"),
    ],
)
def test_other_shape_of_a_model_without_batching(
    ask, model, name, array, expected, got
):
    assert ask(model, {name: array}) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + f"unexpected shape for input '{name}' for model '{model}'. "
        f"Expected {expected}, got {got}. ",
    )


def test_shape_of_a_scalar_needs_a_batch_dimension(ask):
    assert ask("add_sub", sent(shape=(), data=bytes(4))) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID
        + "input 'INPUT0' has no shape but model requires batch dimension for "
        "'add_sub'",
    )


def test_batch_too_large(ask):
    nine = np.zeros((9, 16), np.int32)

    assert ask("add_sub", {"INPUT0": nine, "INPUT1": nine}) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + "inference request batch-size must be <= 8 for 'add_sub'",
    )


def test_inputs_of_differing_batch(ask):
    two = np.zeros((2, 16), np.int32)

    # The last input is looked at first.
    assert ask("add_sub", {"INPUT0": ROW, "INPUT1": two}) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + "input 'INPUT0' batch size does not match other inputs for "
        "'add_sub'",
    )


def test_of_two_wrong_inputs_the_last_is_named(ask):
    both = [(name, "FP32", (1, 16), RAW) for name in ("INPUT0", "INPUT1")]

    assert ask("add_sub", both) == ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID
        + "inference input 'INPUT1' data-type is 'FP32', but model 'add_sub' "
        "expects 'INT32'",
    )


def test_number_of_inputs_is_all_that_is_counted_where_some_are_optional(ask):
    code, text = ask("optional", {"EXTRA": np.zeros((1, 1), np.int32)})

    assert code == ask.refusal("INTERNAL", "")[0]
    assert "AttributeError: 'NoneType' object has no attribute 'as_numpy'" in text


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (
            -1,
            "All input dimensions should be specified for input 'X' for model "
            "'versions', got [-1]",
        ),
        (
            -2,
            "unexpected shape for input 'X' for model 'versions'. Expected [1], got "
            "[-2]. ",
        ),
    ],
)
def test_negative_dimension(grpc_ask, dim, text):
    answer = grpc_ask("versions", [("X", "INT32", (dim,), bytes(4))])

    assert answer == grpc_ask.refusal("INVALID_ARG", UNKNOWN_ID + text)


@pytest.mark.parametrize("size", [0, 4, 60])
def test_too_few_bytes(grpc_ask, size):
    assert grpc_ask("add_sub", sent(data=bytes(size))) == grpc_ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + "input byte size mismatch for input 'INPUT0' for model 'add_sub'. "
        f"Expected 64, got {size}",
    )


def test_too_many_bytes(grpc_ask):
    assert grpc_ask("add_sub", sent(data=bytes(68))) == grpc_ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + "input byte size mismatch for input 'INPUT0' for model 'add_sub'. "
        "Expected 64, got 68",
    )


STRING = "for inference input 'X_STRING' for model 'types'"


@pytest.mark.parametrize(
    ("shape", "data", "text"),
    [
        ((2,), b"\1\0\0\0a", f"expected 2 string elements {STRING}, got 1"),
        ((1,), b"", f"expected 1 string elements {STRING}, got 0"),
        (
            (1,),
            2 * b"\1\0\0\0a",
            f"unexpected number of string elements 2 {STRING}, expecting 1",
        ),
        (
            (1,),
            b"\1\0\0",
            f"incomplete string length indicator {STRING}, expecting 4 bytes but only "
            "3 "
            "bytes available. Please make sure the string length indicator is in one "
            "buffer.",
        ),
    ],
    ids=["too few", "none", "too many", "length cut off"],
)
def test_wrong_number_of_strings(ask, shape, data, text):
    answer = ask("types", [("X_STRING", "BYTES", shape, data)])

    assert answer == ask.refusal("INVALID_ARG", UNKNOWN_ID + text)


def test_string_cut_off(ask):
    answer = ask("types", [("X_STRING", "BYTES", (1,), b"\xff\0\0\0ab")])

    assert answer == ask.refusal(
        "INVALID_ARG",
        "incomplete string data for inference input 'X_STRING', expecting string of "
        "length 255 but only 2 bytes available",
    )


def typed(field, values, *, datatype="INT32", shape=(1,), name="X", raw=()):
    request = service_pb2.ModelInferRequest(model_name="versions")
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    getattr(tensor.contents, field).extend(values)
    request.raw_input_contents.extend(raw)
    return request


def test_typed_and_raw_contents_together(grpc_ask):
    answer = grpc_ask.send(typed("int_contents", [1], raw=[bytes(4)]))

    assert answer == grpc_ask.refusal(
        "INVALID_ARG",
        "contents field must not be specified when using raw_input_contents for 'X' "
        "for "
        "model 'versions'",
    )


def test_no_contents_at_all(grpc_ask):
    request = service_pb2.ModelInferRequest(model_name="versions")
    request.inputs.add(name="X", datatype="INT32", shape=[1])

    assert grpc_ask.send(request) == grpc_ask.refusal(
        "INVALID_ARG",
        "unable to find data for input tensor 'X' for model 'versions' in request.",
    )


def test_too_few_raw_contents(grpc_ask):
    request = grpc_ask.request("add_sub", GOOD)
    del request.raw_input_contents[1]

    assert grpc_ask.send(request) == grpc_ask.refusal(
        "INVALID_ARG",
        "unable to find data for input tensor 'INPUT1' for model 'add_sub' in request.",
    )


@pytest.mark.parametrize(
    ("field", "values", "own"),
    [
        ("fp32_contents", [1.0], "FP32"),
        ("fp64_contents", [1.0], "FP64"),
        ("int64_contents", [1], "INT64"),
        ("uint_contents", [1], "UINT32"),
        ("uint64_contents", [1], "UINT64"),
        ("bool_contents", [True], "BOOL"),
        ("bytes_contents", [b"a"], "BYTES"),
    ],
)
def test_typed_contents_of_another_type(grpc_ask, field, values, own):
    assert grpc_ask.send(typed(field, values)) == grpc_ask.refusal(
        "INVALID_ARG",
        "unexpected explicit tensor data for input tensor 'X' for model 'versions' of "
        f"type '{own}', expected datatype 'INT32'",
    )


def test_typed_contents_of_the_wrong_number(grpc_ask):
    assert grpc_ask.send(typed("int_contents", [1, 2])) == grpc_ask.refusal(
        "INVALID_ARG",
        UNKNOWN_ID + "input byte size mismatch for input 'X' for model 'versions'. "
        "Expected 4, got 8",
    )


def test_decoupled_model_refuses_a_single_answer(ask):
    answer = ask("decoupled", {"VALUES": np.zeros(1, np.int32)})

    assert answer == ask.refusal(
        "UNSUPPORTED",
        "ModelInfer RPC doesn't support models with decoupled transaction policy"
        if ask.kind == "grpc"
        else "HTTP end point doesn't support models with decoupled transaction policy",
    )
