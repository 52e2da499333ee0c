"""Requests that are right: tensors, outputs, ids, versions."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

INPUT = {
    "INPUT0": np.arange(16, dtype=np.int32).reshape(1, 16),
    "INPUT1": np.ones((1, 16), np.int32),
}
SUM = list(range(1, 17))
DIFFERENCE = list(range(-1, 15))
WIRE = {
    "BOOL": b"\x01\x00\x01",
    "UINT8": b"\x00\x01\xff",
    "UINT16": b"\x00\x00\xff\xff\x01\x00",
    "UINT32": b"\xff\xff\xff\xff" + bytes(4),
    "UINT64": b"\xff" * 8 + bytes(8),
    "INT8": b"\x80\x7f\x00",
    "INT16": b"\x00\x80\xff\x7f",
    "INT32": b"\x00\x00\x00\x80\xff\xff\xff\x7f",
    "INT64": bytes(7) + b"\x80" + b"\xff" * 7 + b"\x7f",
    "FP16": b"\x00\x3c\x00\xfc\x01\x7e",
    "BF16": b"\x80\x3f\x80\xff\xc1\x7f",
    "FP32": b"\x00\x00\x80\x3f\x01\x00\xc0\x7f",
    "FP64": bytes(6) + b"\xf0\x3f" + b"\x01" + bytes(5) + b"\xf8\x7f",
    "BYTES": b"\x00\x00\x00\x00" + b"\x03\x00\x00\x00\x00\xffa",
}
"""Values at both ends of each type, NaN payloads, bytes that are no text."""
ELEMENTS = {"BYTES": 2}


def suffix(datatype):
    return "STRING" if datatype == "BYTES" else datatype


def test_answer_names_model_version_and_outputs_as_returned(ask):
    answer = ask("add_sub", INPUT)

    assert (answer.model, answer.version, answer.id) == ("add_sub", "1", "")
    assert [(t.name, t.datatype, t.shape) for t in answer.outputs] == [
        ("OUTPUT1", "INT32", (1, 16)),
        ("OUTPUT0", "INT32", (1, 16)),
    ]
    assert answer.values("OUTPUT0", "<i4") == SUM
    assert answer.values("OUTPUT1", "<i4") == DIFFERENCE


@pytest.mark.parametrize("request_id", ["7", "event 7", "ünïcode", "x" * 3000])
def test_id_comes_back(ask, request_id):
    assert ask("add_sub", INPUT, id=request_id).id == request_id


@pytest.mark.parametrize(
    ("requested", "returned"),
    [
        (["OUTPUT0"], ["OUTPUT0"]),
        (["OUTPUT0", "OUTPUT1"], ["OUTPUT1", "OUTPUT0"]),
        (["OUTPUT1", "OUTPUT0"], ["OUTPUT1", "OUTPUT0"]),
        (["OUTPUT0", "OUTPUT0"], ["OUTPUT0"]),
    ],
)
def test_requested_outputs_filter_and_do_not_order(ask, requested, returned):
    answer = ask("add_sub", INPUT, outputs=requested)

    assert [output.name for output in answer.outputs] == returned


def test_inputs_may_come_in_any_order(ask):
    answer = ask("add_sub", dict(reversed(INPUT.items())))

    assert answer.values("OUTPUT1", "<i4") == DIFFERENCE


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_batch_comes_back_row_by_row(ask, rows):
    x = np.arange(rows * 16, dtype=np.int32).reshape(rows, 16)

    answer = ask("add_sub", {"INPUT0": x, "INPUT1": 0 * x})

    assert answer.tensor("OUTPUT0").shape == (rows, 16)
    assert answer.tensor("OUTPUT0").data == x.tobytes()


@pytest.mark.parametrize("datatype", WIRE)
def test_every_bit_of_every_datatype_survives(ask, datatype):
    data = WIRE[datatype]
    size = {"BYTES": 2, "BOOL": 3, "UINT8": 3, "INT8": 3}.get(datatype)
    shape = [size or {"6": 3}.get(str(len(data)), 2)]
    sent = [(f"X_{suffix(datatype)}", datatype, shape, data)]

    (output,) = ask("types", sent).outputs

    assert (output.name, output.datatype) == (f"Y_{suffix(datatype)}", datatype)
    assert tuple(output.shape) == tuple(shape)
    assert output.data == data


@pytest.mark.parametrize("datatype", WIRE)
def test_empty_tensor_of_every_datatype(ask, datatype):
    (output,) = ask("types", [(f"X_{suffix(datatype)}", datatype, [0], b"")]).outputs

    assert (output.datatype, tuple(output.shape), output.data) == (datatype, (0,), b"")


@pytest.mark.parametrize("shape", [(0, 0, 3), (0, 5, 3), (4, 0, 3), (2, 1, 3)])
def test_tensor_of_three_dimensions_may_be_empty_in_any(ask, shape):
    x = np.ones(shape, np.float32)

    (output,) = ask("types", {"X_GRID": x}).outputs

    assert tuple(output.shape) == shape
    assert output.data == x.tobytes()


@pytest.mark.parametrize(
    ("datatype", "field", "values", "data"),
    [
        ("BOOL", "bool_contents", [True, False], b"\1\0"),
        ("INT8", "int_contents", [-1, 5], b"\xff\5"),
        ("INT8", "int_contents", [300, -129], b"\x2c\x7f"),
        ("INT16", "int_contents", [-1, 70000], b"\xff\xff\x70\x11"),
        ("INT32", "int_contents", [-1], b"\xff" * 4),
        ("INT64", "int64_contents", [-1], b"\xff" * 8),
        ("UINT8", "uint_contents", [255, 256], b"\xff\0"),
        ("UINT16", "uint_contents", [65535], b"\xff\xff"),
        ("UINT32", "uint_contents", [2**32 - 1], b"\xff" * 4),
        ("UINT64", "uint64_contents", [2**64 - 1], b"\xff" * 8),
        ("FP32", "fp32_contents", [1.0], b"\0\0\x80\x3f"),
        ("FP64", "fp64_contents", [1.0], bytes(6) + b"\xf0\x3f"),
        ("BYTES", "bytes_contents", [b"", b"\0\xff"], bytes(4) + b"\2\0\0\0\0\xff"),
    ],
)
def test_typed_contents_are_answered_raw(grpc_ask, datatype, field, values, data):
    request = service_pb2.ModelInferRequest(model_name="types")
    sent = request.inputs.add(
        name=f"X_{suffix(datatype)}", datatype=datatype, shape=[len(values)]
    )
    getattr(sent.contents, field).extend(values)

    (output,) = grpc_ask.send(request).outputs

    assert output.data == data


def test_typed_contents_may_be_empty(grpc_ask):
    request = service_pb2.ModelInferRequest(model_name="types")
    request.inputs.add(name="X_FP32", datatype="FP32", shape=[0]).contents.SetInParent()

    (output,) = grpc_ask.send(request).outputs

    assert (output.shape, output.data) == ((0,), b"")


def test_surplus_raw_contents_are_ignored(grpc_ask):
    request = grpc_ask.request("add_sub", INPUT)
    request.raw_input_contents.append(b"more")

    assert grpc_ask.send(request).values("OUTPUT0", "<i4") == SUM


@pytest.mark.parametrize(
    ("name", "version", "ran"),
    [
        ("versions", "", "3"),
        ("versions", "1", "1"),
        ("versions", "2", "2"),
        ("versions_latest", "", "3"),
        ("versions_specific", "", "3"),
        ("versions_specific", "1", "1"),
    ],
)
def test_version_that_runs_is_the_highest_or_the_one_asked_for(ask, name, version, ran):
    answer = ask(name, {"X": np.ones(1, np.int32)}, version=version)

    assert answer.version == ran
    assert answer.texts("VERSION") == [ran.encode()]


def test_optional_input_may_be_left_out(ask):
    one = np.ones((1, 1), np.int32)

    assert ask("optional", {"NEEDED": one}).values("SUM", "<i4") == [101]
    assert ask("optional", {"NEEDED": one, "EXTRA": one}).values("SUM", "<i4") == [2]


def test_model_without_batching_may_get_no_input_at_all(ask):
    assert ask("types", {}).outputs == ()


def test_reshape_is_between_client_and_model(ask):
    x = np.arange(8, dtype=np.float32).reshape(2, 4)

    answer = ask("reshaped", {"X": x})

    assert answer.values("SHAPE", "<i8") == [2, 2, 2] * 2
    assert (answer.tensor("Y").shape, answer.tensor("Y").data) == (
        (2, 4),
        x.tobytes(),
    )


def test_large_tensors_pass(ask):
    x = np.arange(3_000_000, dtype=np.float32)  # 12 MB; gRPC's own limit is 4 MB

    (output,) = ask("types", {"X_FP32": x}).outputs

    assert output.data == x.tobytes()


def test_response_carries_no_parameters_of_the_request(stub, grpc_ask):
    request = grpc_ask.request("add_sub", INPUT, parameters={"a": 1, "b": "c"})

    assert dict(stub.ModelInfer(request).parameters) == {}


def test_server_sends_no_metadata_of_its_own(stub, grpc_ask):
    _, call = stub.ModelInfer.with_call(grpc_ask.request("add_sub", INPUT))

    assert list(call.initial_metadata()) == []
    assert list(call.trailing_metadata()) == []
