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


def binary_tensor(name, datatype, shape, size):
    parameters = {"binary_data_size": size}
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(shape),
        "parameters": parameters,
    }


def add_sub(**extra):
    return {
        "inputs": [
            tensor("INPUT0", "INT32", ROW, [1, 16]),
            tensor("INPUT1", "INT32", ROW, [1, 16]),
        ],
        **extra,
    }


@pytest.fixture
def post_binary(http_call):
    """POST JSON with binary data after it."""

    def post(path, value, data):
        head = json.dumps(value).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        return http_call("POST", path, head + data, length)

    return post


def header_and_binary(answer):
    size = int(answer.headers["inference-header-content-length"])
    return json.loads(answer.body[:size]), answer.body[size:]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT64", [2**64 - 1]),
        ("INT8", [-128]),
        ("INT64", [-(2**63)]),
        ("FP32", [1, -0.5]),
        ("FP32", [0.10000000149011612]),
        ("FP64", [0.1, 1e300, 1e-7]),
        ("FP64", []),
        ("BYTES", ["a", "", 'µ\n"\\']),
    ],
)
def test_values_come_back_as_json(http_json, datatype, data):
    suffix = "STRING" if datatype == "BYTES" else datatype

    answer = http_json(PATH, {"inputs": [tensor(f"X_{suffix}", datatype, data)]})

    assert answer.headers["content-type"] == "application/json"
    output = tensor(f"Y_{suffix}", datatype, data)
    assert answer.json == {
        "model_name": "types",
        "model_version": "1",
        "outputs": [output],
    }


def test_values_that_are_no_numbers_are_literals(post_binary):
    values = np.array([np.nan, np.inf, -np.inf], np.float32).tobytes()

    answer = post_binary(
        PATH, {"inputs": [binary_tensor("X_FP32", "FP32", [3], 12)]}, values
    )

    assert b"[NaN,Infinity,-Infinity]" in answer.body


@pytest.mark.parametrize(
    "data", [[[[1, 2, 3], [4, 5, 6]]], [1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]]
)
def test_data_may_be_nested_and_comes_back_flat(http_json, data):
    answer = http_json(PATH, {"inputs": [tensor("X_GRID", "FP32", data, [1, 2, 3])]})

    (output,) = answer.json["outputs"]
    assert output["shape"] == [1, 2, 3]
    assert output["data"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("datatype", "value", "wrapped"),
    [("INT8", 300, 44), ("UINT8", 256, 0), ("INT32", 2**31, -(2**31))],
)
def test_integers_wrap_to_their_type(http_json, datatype, value, wrapped):
    answer = http_json(PATH, {"inputs": [tensor(f"X_{datatype}", datatype, [value])]})

    assert answer.json["outputs"][0]["data"] == [wrapped]


def test_id_comes_back_only_if_given(http_json):
    path = "/v2/models/add_sub/infer"

    assert "id" not in http_json(path, add_sub()).json
    assert http_json(path, add_sub(id="7")).json["id"] == "7"


def test_unknown_keys_and_queries_are_ignored(http_json):
    answer = http_json("/v2/models/add_sub/infer?a=b", add_sub(more=[1], x=None))

    assert answer.status == 200


def test_version_in_the_path(http_json):
    sent = {"inputs": [tensor("X", "INT32", [1])]}

    answer = http_json("/v2/models/versions/versions/2/infer", sent)

    assert answer.json["model_version"] == "2"
    assert answer.json["outputs"][0]["data"] == ["2"]


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_does_not_fit_json(http_json, post_binary, refused, datatype):
    name = f"X_{datatype}"
    sent = http_json(PATH, {"inputs": [tensor(name, datatype, [1.0])]})
    asked = post_binary(
        PATH, {"inputs": [binary_tensor(name, datatype, [1], 2)]}, b"\0\0"
    )

    assert sent.error == refused(400, f"{datatype} JSON not supported {name}")
    assert asked.error == refused(400, f"{datatype} JSON not supported")


def test_binary_and_json_outputs_side_by_side(http_json):
    outputs = [
        {"name": "OUTPUT0", "parameters": {"binary_data": True}},
        {"name": "OUTPUT1"},
    ]

    answer = http_json("/v2/models/add_sub/infer", add_sub(outputs=outputs))

    assert answer.headers["content-type"] == "application/octet-stream"
    header, binary = header_and_binary(answer)
    by_name = {output["name"]: output for output in header["outputs"]}
    assert by_name["OUTPUT0"]["parameters"] == {"binary_data_size": 64}
    assert "data" not in by_name["OUTPUT0"]
    assert by_name["OUTPUT1"]["data"] == [0] * 16
    assert binary == (2 * np.arange(16, dtype=np.int32)).tobytes()


def test_output_may_be_kept_out_of_the_binary_ones(http_json):
    outputs = [{"name": "OUTPUT0", "parameters": {"binary_data": False}}]
    parameters = {"binary_data_output": True}

    answer = http_json(
        "/v2/models/add_sub/infer", add_sub(outputs=outputs, parameters=parameters)
    )

    assert answer.headers["content-type"] == "application/json"
    assert "data" in answer.json["outputs"][0]


def test_input_as_json_and_another_as_bytes(post_binary):
    value = add_sub()
    value["inputs"][1] = binary_tensor("INPUT1", "INT32", [1, 16], 64)

    answer = post_binary("/v2/models/add_sub/infer", value, bytes(64))

    assert answer.json["outputs"][0]["data"] == ROW


RAW = {"Inference-Header-Content-Length": "0"}


def test_whole_body_may_be_the_one_input(http_call):
    x = np.arange(3, dtype=np.float64)

    answer = http_call("POST", "/v2/models/scores_unbatched/infer", x.tobytes(), RAW)

    header, binary = header_and_binary(answer)
    assert header["outputs"][0]["shape"] == [3]
    assert binary == x.tobytes()


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        ("add_sub", b"", "raw request only 1 input got 2 add_sub"),
        ("versions", b"abc", "size versions expected 4 got 3"),
    ],
)
def test_body_that_cannot_be_the_one_input(http_call, refused, model, body, words):
    answer = http_call("POST", f"/v2/models/{model}/infer", body, RAW)

    assert answer.error == refused(400, words)


@pytest.mark.parametrize(("model", "status"), [("one_string", 200), ("strings", 400)])
def test_raw_string_is_for_inputs_of_one_element(http_call, model, status):
    answer = http_call("POST", f"/v2/models/{model}/infer", b"abc", RAW)

    assert answer.status == status
    if status == 200:
        assert header_and_binary(answer)[1] == b"\3\0\0\0abc"
    else:
        assert "input shape [1]" in answer.json["error"]


def one(**fields):
    return {"name": "X_INT32", "datatype": "INT32", "shape": [1], "data": [1], **fields}


def without(key):
    return {name: value for name, value in one().items() if name != key}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        *(
            (text, "failed to parse JSON")
            for text in (
                "{",
                "nonsense",
                '{"inputs": [}',
                '{"inputs": []} x',
                '{"a": "b',
                '{"a" 1}',
                "[1 2]",
                " ",
            )
        ),
        ({}, "non-existing inputs"),
        ({"inputs": 7}, "inputs non-array"),
        ({"inputs": [{"data": [1]}]}, "non-existing name"),
        ({"inputs": [without("datatype")]}, "non-existing datatype"),
        ({"inputs": [without("shape")]}, "non-existing shape"),
        ({"inputs": [one(name=7)]}, "name non-string"),
        ({"inputs": [], "outputs": [{}]}, "non-existing name"),
        ({"inputs": [], "id": 7}, "id non-string"),
        ({"inputs": [one(shape=[-1])]}, "shape non-unsigned-integer"),
        ({"inputs": [one(shape=["1"])]}, "shape non-unsigned-integer"),
        ({"inputs": [one(shape=[1.0])]}, "shape non-unsigned-integer"),
        ({"inputs": [one(shape=[2])]}, "data shape does not match"),
        ({"inputs": [one(data=[])]}, "data shape does not match"),
    ],
)
def test_json_that_is_no_request_is_an_internal_error(http_json, refused, body, words):
    assert http_json(PATH, body).error == refused(500, words)


@pytest.mark.parametrize("number", ["1e999", "9" * 400, "9" * 6000])
def test_number_beyond_a_double_is_refused(http_json, refused, number):
    body = json.dumps({"inputs": [one(name="X_FP32", datatype="FP32", data=[0])]})

    answer = http_json(PATH, body.replace("[0]", f"[{number}]"))

    assert answer.error == refused(500, "number too big to be stored in double")


@pytest.mark.parametrize(
    ("datatype", "value", "words"),
    [
        ("INT32", 1.5, "non-signed-integer"),
        ("INT32", "1", "non-signed-integer"),
        ("INT8", True, "non-signed-integer"),
        ("INT64", 2**63, "non-signed-integer"),
        ("UINT32", -1, "non-unsigned-integer"),
        ("UINT64", 1.5, "non-unsigned-integer"),
        ("BOOL", "x", "non-boolean"),
        ("FP32", "x", "non-number"),
        ("FP64", None, "non-number"),
        ("BYTES", 1, "non-string"),
    ],
)
def test_data_of_another_type(http_json, refused, datatype, value, words):
    suffix = "STRING" if datatype == "BYTES" else datatype

    answer = http_json(PATH, {"inputs": [tensor(f"X_{suffix}", datatype, [value])]})

    assert answer.error == refused(500, words)


@pytest.mark.parametrize(
    ("changed", "words"),
    [(one(datatype="NONSENSE"), "datatype X_INT32"), (without("data"), "no field set")],
)
def test_input_without_data_or_datatype(http_json, refused, changed, words):
    assert http_json(PATH, {"inputs": [changed]}).error == refused(400, words)


@pytest.mark.parametrize(
    ("announced", "sent", "words"),
    [
        (8, 4, "unexpected size X_INT32 4 additional bytes types"),
        (8, 9, "unexpected additional types"),
        (4, 4, "size X_INT32 types expected 8 got 4"),
    ],
)
def test_body_of_another_length(post_binary, refused, announced, sent, words):
    value = {"inputs": [binary_tensor("X_INT32", "INT32", [2], announced)]}

    assert post_binary(PATH, value, bytes(sent)).error == refused(400, words)


@pytest.mark.parametrize("length", ["-1", "3", "abc"])
def test_length_of_the_header_must_be_within_the_body(http_call, length):
    answer = http_call("POST", PATH, b"{}", {"Inference-Header-Content-Length": length})

    assert answer.status == 400
