"""Tensors in HTTP messages: what is written is what Triton's own client writes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from sonic_client import InvalidAnswerError
from sonic_client.transport import InferCall
from sonic_client.transport.base import RegionSlice
from sonic_client.transport.http_messages import decode_body, encode_body
from sonic_client.types import datatype_of

CALL = InferCall(model_name="m", model_version="", request_id="", inputs={})


def answer_of(tensors, *, is_binary=True):
    """The body of an answer with these tensors, and the length of its header."""
    call = InferCall(model_name="m", model_version="", request_id="", inputs=tensors)
    _, parts = encode_body(call, is_binary=is_binary)
    header = json.loads(parts[0])
    header["outputs"] = header.pop("inputs")
    header["model_version"] = "3"
    encoded = json.dumps(header).encode()
    return b"".join([encoded, *parts[1:]]), len(encoded)


@given(
    st.dictionaries(
        st.sampled_from("XYZ"),
        st_numpy.arrays(
            dtype=st.sampled_from([np.bool_, np.int8, np.uint16, np.float16, ">f8"]),
            shape=st_numpy.array_shapes(min_dims=0, min_side=0, max_side=4),
            elements={"allow_nan": False},
        ),
    ),
    st.booleans(),
)
def test_decoding_what_was_encoded_is_identity(tensors, is_binary):
    body, length = answer_of(tensors, is_binary=is_binary)

    reply = decode_body(body, json_length=str(length), call=CALL, server="s")

    assert reply.model_version == "3"
    assert reply.outputs.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(reply.outputs[name], array)
        assert datatype_of(reply.outputs[name].dtype) == datatype_of(array.dtype)
        assert not reply.outputs[name].flags.writeable


def test_texts_follow_numbers():
    texts = np.array([b"", b"\0text"], dtype=object)
    body, length = answer_of({"A": texts, "B": np.arange(3)})

    reply = decode_body(body, json_length=str(length), call=CALL, server="s")

    assert reply.outputs["A"].tolist() == texts.tolist()
    assert reply.outputs["B"].tolist() == [0, 1, 2]


def test_what_is_in_shared_memory_is_not_in_the_body():
    place = RegionSlice("r", 64, 8)
    call = InferCall(
        model_name="m",
        model_version="",
        request_id="",
        inputs={"A": np.arange(1), "B": np.arange(2)},
        input_regions={"A": place},
        outputs=("C", "D"),
        output_regions={"D": place},
    )

    _, (header, content) = encode_body(call)

    header = json.loads(header)
    region = {
        "shared_memory_region": "r",
        "shared_memory_offset": 64,
        "shared_memory_byte_size": 8,
    }
    assert len(content) == 16
    assert header["inputs"][0]["parameters"] == region
    assert [each["parameters"] for each in header["outputs"]] == [
        {"binary_data": True},
        region,
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "expected a KServe inference response"),
        (b"[]", "expected a KServe inference response"),
        (b'{"outputs": [{"name": "X"}]}', "KeyError"),
        (
            b'{"outputs": [{"name": "X", "datatype": "INT8", "shape": [1]}]}',
            "'X': expected values, got none",
        ),
        *(
            (
                b'{"outputs": [{"name": "X", "datatype": "%b", "shape": [2],'
                b' "data": %b}]}' % (datatype, values),
                text,
            )
            for datatype, values, text in (
                (b"INT8", b"[1]", r"'X': expected INT8\[2\], got 1 values"),
                (b"INT8", b"[1, 300]", "300 out of bounds"),
                (b"INT8", b"[1, 2.5]", "values of type float"),
                (b"BYTES", b'["a", 4000000000]', "values of type int"),
                (b"FP32", b'[1.0, "2.0"]', "values of type str"),
                (b"FP32", b"[[1.0], [2.0, 3.0]]", "values of type list"),
                (b"FP32", b'{"a": 1}', "expected a KServe inference response"),
            )
        ),
        (
            b'{"outputs": [{"name": "X", "datatype": "INT8", "shape": [2],'
            b' "parameters": {"binary_data_size": 2}}]}',
            r"'X': expected INT8\[2\], got 0 bytes",
        ),
    ],
    ids=[
        *("html", "list", "key", "none", "few", "out of range", "fraction", "number"),
        *("text", "ragged", "object", "short"),
    ],
)
def test_an_answer_that_cannot_be_read_says_why(body, message):
    with pytest.raises(InvalidAnswerError, match=message):
        decode_body(body, json_length=None, call=CALL, server="s")


def test_nested_values_and_null_are_read():
    body = (
        b'{"outputs": [{"name": "X", "datatype": "FP32", "shape": [2, 2],'
        b' "data": [[1, 2.5], [null, -3]]},'
        b' {"name": "Y", "datatype": "BF16", "shape": [1], "data": [1.5]},'
        b' {"name": "Z", "datatype": "BYTES", "shape": [0, 3], "data": []}]}'
    )

    outputs = decode_body(body, json_length=None, call=CALL, server="s").outputs

    np.testing.assert_array_equal(outputs["X"], [[1, 2.5], [np.nan, -3]])
    assert outputs["Y"].tolist() == [1.5]
    assert outputs["Z"].shape == (0, 3)
