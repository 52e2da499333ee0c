"""Wrong requests: code, and what the text says, over either protocol."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

ROW = np.zeros((1, 16), np.int32)
GOOD = {"INPUT0": ROW, "INPUT1": ROW}
RAW = ROW.tobytes()


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("nowhere", "", "unknown model nowhere"),
        ("broken", "", "unknown model broken"),
        ("add_sub", "9", "unknown add_sub version 9"),
    ],
)
def test_unknown_model_is_not_found(ask, name, version, words):
    assert ask(name, GOOD, version=version) == ask.refusal("NOT_FOUND", words)


@pytest.mark.parametrize(
    ("name", "version", "code", "words"),
    [
        ("", "", "NOT_FOUND", "unknown model"),
        ("add_sub", "abc", "INVALID_ARG", "version abc"),
    ],
)
def test_name_or_version_that_is_none(grpc_ask, name, version, code, words):
    answer = grpc_ask(name, GOOD, version=version)

    assert answer == grpc_ask.refusal(code, words)


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ("add_sub", {"INPUT0": ROW}, "expected 2 got 1 inputs add_sub INPUT0 INPUT1"),
        ("add_sub", {}, "expected 2 got 0 missing INPUT0 INPUT1"),
        ("add_sub", {**GOOD, "INPUT2": ROW}, "expected 2 got 3 INPUT0 INPUT1 INPUT2"),
        ("optional", {}, "between 1 and 2 got 0 optional missing NEEDED"),
    ],
    ids=["one", "none", "three", "optional"],
)
def test_wrong_number_of_inputs(ask, model, inputs, words):
    answer = ask(model, inputs, id="7")

    assert answer == ask.refusal("INVALID_ARG", "[request id: 7] " + words)


def test_number_of_inputs_is_all_that_is_counted_where_some_are_optional(ask):
    answer = ask("optional", {"EXTRA": np.zeros((1, 1), np.int32)})

    assert answer == ask.refusal("INTERNAL", "AttributeError")


def test_unknown_input_or_output(ask):
    unknown_input = ask("add_sub", {"INPUT0": ROW, "INPUT9": ROW})
    unknown_output = ask("add_sub", GOOD, outputs=["OUTPUT9"])

    assert unknown_input == ask.refusal("INVALID_ARG", "unexpected input INPUT9")
    assert unknown_output == ask.refusal("INVALID_ARG", "unexpected output OUTPUT9")


def test_input_given_twice(ask):
    twice = [("INPUT0", "INT32", (1, 16), RAW), ("INPUT0", "INT32", (1, 16), RAW)]

    assert ask("add_sub", twice) == ask.refusal("INVALID_ARG", "INPUT0 already exists")


def sent(datatype="INT32", shape=(1, 16), data=RAW):
    return [("INPUT0", datatype, shape, data), ("INPUT1", "INT32", (1, 16), RAW)]


@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "BF16", "NONSENSE", "int32", ""])
def test_other_datatype(ask, datatype):
    known = datatype if datatype.isupper() and datatype != "NONSENSE" else "invalid"

    assert ask("add_sub", sent(datatype)) == ask.refusal(
        "INVALID_ARG", f"id_unknown INPUT0 {known} add_sub expects INT32"
    )


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ("add_sub", sent(shape=(1, 15)), "[-1,16] [1,15] batch dimension"),
        ("add_sub", sent(shape=(1, 4, 4)), "[-1,16] [1,4,4]"),
        ("add_sub", sent(shape=(), data=bytes(4)), "no shape batch dimension"),
        ("versions", [("X", "INT32", (5,), bytes(20))], "X versions [1] [5]"),
        ("versions", [("X", "INT32", (1, 1), bytes(4))], "X [1] [1,1]"),
        ("types", [("X_GRID", "FP32", (2, 2, 4), bytes(64))], "[-1,-1,3] [2,2,4]"),
        ("types", [("X_FP32", "FP32", (2, 2), bytes(16))], "X_FP32 [-1] [2,2]"),
    ],
)
def test_other_shape(ask, model, inputs, words):
    assert ask(model, inputs) == ask.refusal("INVALID_ARG", words)


def test_batch_too_large(ask):
    nine = np.zeros((9, 16), np.int32)

    assert ask("add_sub", {"INPUT0": nine, "INPUT1": nine}) == ask.refusal(
        "INVALID_ARG", "batch-size <= 8 add_sub"
    )


def test_inputs_of_differing_batch(ask):
    two = np.zeros((2, 16), np.int32)

    assert ask("add_sub", {"INPUT0": ROW, "INPUT1": two}) == ask.refusal(
        "INVALID_ARG", "batch size does not match other inputs"
    )


def test_of_two_wrong_inputs_one_is_named(ask):
    both = [(name, "FP32", (1, 16), RAW) for name in ("INPUT0", "INPUT1")]

    assert ask("add_sub", both) == ask.refusal("INVALID_ARG", "INPUT FP32 INT32")


@pytest.mark.parametrize(
    ("dim", "words"), [(-1, "dimensions specified X [-1]"), (-2, "shape X [1] [-2]")]
)
def test_negative_dimension(grpc_ask, dim, words):
    answer = grpc_ask("versions", [("X", "INT32", (dim,), bytes(4))])

    assert answer == grpc_ask.refusal("INVALID_ARG", words)


@pytest.mark.parametrize("size", [0, 60, 68])
def test_other_number_of_bytes(ask, size):
    assert ask("add_sub", sent(data=bytes(size))) == ask.refusal(
        "INVALID_ARG", f"size INPUT0 add_sub expected 64 got {size}"
    )


def test_batch_of_nothing_is_refused(ask):
    none = np.zeros((0, 16), np.int32)

    assert ask("add_sub", {"INPUT0": none, "INPUT1": none}) == ask.refusal(
        "INVALID_ARG", "size add_sub got 0"
    )


@pytest.mark.parametrize(
    ("shape", "data", "words"),
    [
        ((2,), b"\1\0\0\0a", "expected 2 string elements got 1"),
        ((1,), b"", "expected 1 string elements got 0"),
        ((1,), 2 * b"\1\0\0\0a", "string elements 2 expecting 1"),
        ((1,), b"\1\0\0", "incomplete string length 4 bytes only 3"),
        ((1,), b"\xff\0\0\0ab", "incomplete string length 255 only 2"),
    ],
    ids=["too few", "none", "too many", "length cut off", "cut off"],
)
def test_wrong_strings(ask, shape, data, words):
    answer = ask("types", [("X_STRING", "BYTES", shape, data)])

    assert answer == ask.refusal("INVALID_ARG", "X_STRING " + words)


def typed(field, values, *, raw=()):
    request = service_pb2.ModelInferRequest(model_name="versions")
    tensor = request.inputs.add(name="X", datatype="INT32", shape=[1])
    if field:
        getattr(tensor.contents, field).extend(values)
    request.raw_input_contents.extend(raw)
    return request


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (typed("int_contents", [1], raw=[bytes(4)]), "raw_input_contents X versions"),
        (typed("", []), "unable to find data X versions"),
        (typed("int_contents", [1, 2]), "size X expected 4 got 8"),
        (typed("fp32_contents", [1.0]), "X FP32 expected INT32"),
        (typed("fp64_contents", [1.0]), "X FP64 expected INT32"),
        (typed("int64_contents", [1]), "X INT64 expected INT32"),
        (typed("uint_contents", [1]), "X UINT32 expected INT32"),
        (typed("uint64_contents", [1]), "X UINT64 expected INT32"),
        (typed("bool_contents", [True]), "X BOOL expected INT32"),
        (typed("bytes_contents", [b"a"]), "X BYTES expected INT32"),
    ],
)
def test_wrong_contents(grpc_ask, request_, words):
    assert grpc_ask.send(request_) == grpc_ask.refusal("INVALID_ARG", words)


def test_too_few_raw_contents(grpc_ask):
    request = grpc_ask.request("add_sub", GOOD)
    del request.raw_input_contents[1]

    assert grpc_ask.send(request) == grpc_ask.refusal(
        "INVALID_ARG", "unable to find data INPUT1 add_sub"
    )


def test_decoupled_model_refuses_a_single_answer(ask):
    answer = ask("decoupled", {"VALUES": np.zeros(1, np.int32)})

    assert answer == ask.refusal("UNSUPPORTED", "decoupled")
