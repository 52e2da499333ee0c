"""JSON and binary tensors over HTTP (KServe v2 and its binary extension)."""

import json

import numpy as np
import pytest

PATH = "/v2/models/types/infer"
ROW = list(range(16))


def tensor(name, datatype, data, shape=None, **parameters):
    return {
        "name": name,
        "datatype": datatype,
        "shape": [len(data)] if shape is None else shape,
        "data": data,
        **({"parameters": parameters} if parameters else {}),
    }


def add_sub(**extra):
    return {
        "inputs": [
            tensor("INPUT0", "INT32", ROW, [1, 16]),
            tensor("INPUT1", "INT32", ROW, [1, 16]),
        ],
        **extra,
    }


@pytest.mark.parametrize(
    ("datatype", "data", "text"),
    [
        ("BOOL", [True, False], "[true,false]"),
        ("UINT8", [0, 255], "[0,255]"),
        ("UINT64", [2**64 - 1], "[18446744073709551615]"),
        ("INT8", [-128], "[-128]"),
        ("INT64", [-(2**63)], "[-9223372036854775808]"),
        ("FP32", [1, -0.5], "[1.0,-0.5]"),
        ("FP32", [0.1], "[0.10000000149011612]"),
        ("FP64", [0.1, 1e300], "[0.1,1e300]"),
        ("FP64", [], "[]"),
        ("BYTES", ["a", ""], '["a",""]'),
    ],
)
def test_numbers_come_back_as_json(http_json, datatype, data, text):
    suffix = "STRING" if datatype == "BYTES" else datatype

    answer = http_json(PATH, {"inputs": [tensor(f"X_{suffix}", datatype, data)]})

    assert answer.headers["content-type"] == "application/json"
    assert answer.body.decode() == (
        '{"model_name":"types","model_version":"1","outputs":[{"name":"Y_'
        f'{suffix}","datatype":"{datatype}","shape":[{len(data)}],"data":{text}}}]}}'
    )


def test_values_that_are_no_numbers_are_literals(http_call):
    header = {
        "inputs": [
            {
                "name": "X_FP32",
                "datatype": "FP32",
                "shape": [3],
                "parameters": {"binary_data_size": 12},
            }
        ]
    }
    head = json.dumps(header).encode()
    values = np.array([np.nan, np.inf, -np.inf], np.float32).tobytes()

    answer = http_call(
        "POST", PATH, head + values, {"Inference-Header-Content-Length": str(len(head))}
    )

    assert answer.body.endswith(b'"data":[NaN,Infinity,-Infinity]}]}')


def test_text_beyond_ascii_comes_back_as_it_was_sent(http_json):
    sent = {"inputs": [tensor("X_STRING", "BYTES", ['µ\n"\\'])]}

    answer = http_json(PATH, sent)

    assert answer.json["outputs"][0]["data"] == ['µ\n"\\']


@pytest.mark.parametrize(
    "data", [[[[1, 2, 3], [4, 5, 6]]], [1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]]
)
def test_data_may_be_nested_and_comes_back_flat(http_json, data):
    answer = http_json(PATH, {"inputs": [tensor("X_GRID", "FP32", data, [1, 2, 3])]})

    (output,) = answer.json["outputs"]
    assert output == {
        "name": "Y_GRID",
        "datatype": "FP32",
        "shape": [1, 2, 3],
        "data": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    }


def test_id_comes_back_only_if_given(http_json):
    path = "/v2/models/add_sub/infer"

    assert "id" not in http_json(path, add_sub()).json
    assert list(http_json(path, add_sub(id="7")).json) == [
        "id",
        "model_name",
        "model_version",
        "outputs",
    ]


def test_unknown_keys_and_queries_are_ignored(http_json):
    answer = http_json("/v2/models/add_sub/infer?a=b", add_sub(more=[1], x=None))

    assert answer.status == 200


def test_version_in_the_path(http_json):
    sent = {"inputs": [tensor("X", "INT32", [1])]}

    answer = http_json("/v2/models/versions/versions/2/infer", sent)

    assert answer.json["model_version"] == "2"
    assert answer.json["outputs"][0]["data"] == ["2"]


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_cannot_be_sent_as_json(http_json, datatype):
    answer = http_json(PATH, {"inputs": [tensor(f"X_{datatype}", datatype, [1.0])]})

    assert answer.error == (
        400,
        f"receiving {datatype} data via JSON is not supported. Please use the binary "
        f"data format for input X_{datatype}",
    )


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_cannot_be_answered_as_json(http_call, datatype):
    header = {
        "inputs": [
            {
                "name": f"X_{datatype}",
                "datatype": datatype,
                "shape": [1],
                "parameters": {"binary_data_size": 2},
            }
        ]
    }
    head = json.dumps(header).encode()

    answer = http_call(
        "POST",
        PATH,
        head + b"\0\0",
        {"Inference-Header-Content-Length": str(len(head))},
    )

    assert answer.error == (
        400,
        f"sending {datatype} data via JSON is not supported. Please use the binary "
        "data "
        "format for output",
    )


def test_binary_and_json_outputs_side_by_side(http_json):
    wanted = [
        {"name": "OUTPUT0", "parameters": {"binary_data": True}},
        {"name": "OUTPUT1"},
    ]

    answer = http_json("/v2/models/add_sub/infer", add_sub(outputs=wanted))

    size = int(answer.headers["inference-header-content-length"])
    header = json.loads(answer.body[:size])
    assert answer.headers["content-type"] == "application/octet-stream"
    by_name = {output["name"]: output for output in header["outputs"]}
    assert by_name["OUTPUT0"]["parameters"] == {"binary_data_size": 64}
    assert "data" not in by_name["OUTPUT0"]
    assert by_name["OUTPUT1"]["data"] == [0] * 16
    assert answer.body[size:] == (2 * np.arange(16, dtype=np.int32)).tobytes()


def test_output_may_be_kept_out_of_the_binary_ones(http_json):
    wanted = [{"name": "OUTPUT0", "parameters": {"binary_data": False}}]
    parameters = {"binary_data_output": True}

    answer = http_json(
        "/v2/models/add_sub/infer", add_sub(outputs=wanted, parameters=parameters)
    )

    assert answer.headers["content-type"] == "application/json"
    assert "data" in answer.json["outputs"][0]


def test_input_as_json_and_another_as_bytes(http_call):
    value = add_sub()
    value["inputs"][1] = {
        "name": "INPUT1",
        "datatype": "INT32",
        "shape": [1, 16],
        "parameters": {"binary_data_size": 64},
    }
    head = json.dumps(value).encode()

    answer = http_call(
        "POST",
        "/v2/models/add_sub/infer",
        head + bytes(64),
        {"Inference-Header-Content-Length": str(len(head))},
    )

    assert answer.json["outputs"][0]["data"] == ROW


def test_whole_body_may_be_the_one_input(http_call):
    x = np.arange(3, dtype=np.float64)

    answer = http_call(
        "POST",
        "/v2/models/scores_unbatched/infer",
        x.tobytes(),
        {"Inference-Header-Content-Length": "0"},
    )

    size = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:size])["outputs"][0]["shape"] == [3]
    assert answer.body[size:] == x.tobytes()


@pytest.mark.parametrize("headers", [{}, {"Inference-Header-Content-Length": "0"}])
def test_empty_body_is_no_request_for_several_inputs(http_call, headers):
    answer = http_call("POST", "/v2/models/add_sub/infer", b"", headers)

    assert answer.error == (
        400,
        "[request id: <id_unknown>] Raw request must only have 1 input (found 1) to be "
        "deduced but got 2 inputs in 'add_sub' model configuration",
    )


LOST = "attempt to access non-existing object member"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "{",
            "failed to parse the request JSON buffer: Missing a name for object "
            "member. "
            "at 1",
        ),
        (
            "nonsense",
            "failed to parse the request JSON buffer: Invalid value. at 1",
        ),
        (
            '{"inputs": [}',
            "failed to parse the request JSON buffer: Invalid value. at 12",
        ),
        (
            '{"inputs": []} x',
            "failed to parse the request JSON buffer: The document root must not be "
            "followed by other values. at 15",
        ),
        (
            '{"a": "b',
            "failed to parse the request JSON buffer: Missing a closing quotation mark "
            "in string. at 8",
        ),
        (
            '{"a" 1}',
            "failed to parse the request JSON buffer: Missing a colon after a name of "
            "object member. at 5",
        ),
        (
            '{"a": 1 "b"}',
            "failed to parse the request JSON buffer: Missing a comma or '}' after an "
            "object member. at 8",
        ),
        (
            "[1 2]",
            "failed to parse the request JSON buffer: Missing a comma or ']' after an "
            "array element. at 3",
        ),
        (" ", "failed to parse the request JSON buffer: The document is empty. at 1"),
        ("{}", f"Unable to parse 'inputs': {LOST} 'inputs'"),
        (
            '{"inputs": 7}',
            "Unable to parse 'inputs': attempt to access JSON non-array as array",
        ),
        ('{"inputs": [{"data": [1]}]}', f"Unable to parse 'name': {LOST} 'name'"),
        (
            '{"inputs": [{"name": "X_INT32", "data": [1]}]}',
            f"Unable to parse 'datatype': {LOST} 'datatype'",
        ),
        (
            '{"inputs": [{"name": "X_INT32", "datatype": "INT32", "data": [1]}]}',
            f"Unable to parse 'shape': {LOST} 'shape'",
        ),
        (
            '{"inputs": [{"name": 7, "datatype": "INT32", "shape": [1], "data": [1]}]}',
            "Unable to parse 'name': attempt to access JSON non-string as string",
        ),
        (
            '{"inputs": [], "outputs": [{}]}',
            f"Unable to parse 'name': {LOST} 'name'",
        ),
        (
            '{"inputs": [], "id": 7}',
            "Unable to parse 'id': attempt to access JSON non-string as string",
        ),
    ],
)
def test_json_that_is_no_request_is_an_internal_error(http_json, body, text):
    answer = http_json(PATH, body)

    assert answer.error == (500, text)


@pytest.mark.parametrize("shape", [[-1], ["1"], [1.0]])
def test_shape_must_be_of_whole_numbers(http_json, shape):
    answer = http_json(PATH, {"inputs": [tensor("X_INT32", "INT32", [1], shape)]})

    assert answer.error == (
        500,
        "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as "
        "unsigned-integer",
    )


@pytest.mark.parametrize(
    ("datatype", "data", "kind"),
    [
        ("INT32", [1.5], "signed-integer as signed-integer"),
        ("INT32", ["1"], "signed-integer as signed-integer"),
        ("INT8", [True], "signed-integer as signed-integer"),
        ("INT64", [2**63], "signed-integer as signed-integer"),
        ("UINT32", [-1], "unsigned-integer as unsigned-integer"),
        ("UINT64", [1.5], "unsigned-integer as unsigned-integer"),
        ("BOOL", ["x"], "boolean as boolean"),
        ("FP32", ["x"], "number as double"),
        ("FP64", [None], "number as double"),
    ],
)
def test_data_of_another_type(http_json, datatype, data, kind):
    answer = http_json(PATH, {"inputs": [tensor(f"X_{datatype}", datatype, data)]})

    assert answer.error == (
        500,
        f"Unable to parse 'data': attempt to access JSON non-{kind}",
    )


def test_datatype_that_is_none(http_json):
    answer = http_json(PATH, {"inputs": [tensor("X_INT32", "NONSENSE", [1])]})

    assert answer.error == (400, "invalid datatype for input X_INT32")


def test_strings_must_be_strings(http_json):
    answer = http_json(PATH, {"inputs": [tensor("X_STRING", "BYTES", [1])]})

    assert answer.error == (
        500,
        "Unable to parse JSON bytes array: attempt to access JSON non-string as string",
    )


@pytest.mark.parametrize("data", [[1], [1, 2, 3], []])
def test_data_of_another_length(http_json, data):
    answer = http_json(PATH, {"inputs": [tensor("X_INT32", "INT32", data, [2])]})

    assert answer.error == (
        500,
        "Unable to parse 'data': Shape does not match true shape of 'data' field",
    )


@pytest.mark.parametrize(
    ("datatype", "value", "wrapped"), [("INT8", 300, 44), ("UINT8", 256, 0)]
)
def test_number_out_of_range_wraps(http_json, datatype, value, wrapped):
    answer = http_json(PATH, {"inputs": [tensor(f"X_{datatype}", datatype, [value])]})

    assert answer.json["outputs"][0]["data"] == [wrapped]


def test_input_without_data(http_json):
    sent = {"inputs": [{"name": "X_INT32", "datatype": "INT32", "shape": [1]}]}

    assert http_json(PATH, sent).error == (
        400,
        "Input must set only one of the following fields: 'data', 'binary_data_size' "
        "in "
        "'parameters', 'shared_memory_region' in 'parameters'. But no field is set",
    )


def post_binary(http_call, announced, body, shape=(2,)):
    header = {
        "inputs": [
            {
                "name": "X_INT32",
                "datatype": "INT32",
                "shape": list(shape),
                "parameters": {"binary_data_size": announced},
            }
        ]
    }
    head = json.dumps(header).encode()
    return http_call(
        "POST", PATH, head + body, {"Inference-Header-Content-Length": str(len(head))}
    )


def test_body_shorter_than_announced(http_call):
    assert post_binary(http_call, 8, bytes(4)).error == (
        400,
        "unexpected size for input 'X_INT32', expecting 4 additional bytes for model "
        "'types'",
    )


def test_body_longer_than_announced(http_call):
    assert post_binary(http_call, 8, bytes(9)).error == (
        400,
        "unexpected additional input data for model 'types'",
    )


def test_announced_bytes_must_fill_the_shape(http_call):
    assert post_binary(http_call, 4, bytes(4)).error == (
        400,
        "[request id: <id_unknown>] input byte size mismatch for input 'X_INT32' for "
        "model 'types'. Expected 8, got 4",
    )


@pytest.mark.parametrize("length", ["-1", "3"])
def test_length_of_the_header_must_be_within_the_body(http_call, length):
    answer = http_call("POST", PATH, b"{}", {"Inference-Header-Content-Length": length})

    assert answer.error == (
        400,
        f"inference header size should be in range (0, 2), got: {length}",
    )


def test_length_of_the_header_that_is_no_number_counts_as_none(http_call):
    answer = http_call("POST", PATH, b"{}", {"Inference-Header-Content-Length": "abc"})

    assert answer.error == (
        400,
        "[request id: <id_unknown>] Raw request must only have 1 input (found 1) to be "
        "deduced but got 15 inputs in 'types' model configuration",
    )
