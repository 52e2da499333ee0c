import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from tritonclient.grpc import service_pb2
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from sonic_client import InvalidAnswerError
from sonic_client.transport import InferCall
from sonic_client.transport.grpc_messages import decode_reply, encode_call

CALL = InferCall(model_name="m", model_version="2", request_id="r", inputs={})


def encoded(**inputs):
    call = InferCall(model_name="m", model_version="2", request_id="r", inputs=inputs)
    return service_pb2.ModelInferRequest.FromString(b"".join(encode_call(call)))


def reply(*tensors):
    """A reply of (name, datatype, shape, raw contents) each."""
    message = service_pb2.ModelInferResponse(model_name="m", model_version="2")
    for name, datatype, shape, content in tensors:
        message.outputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_output_contents.append(content)
    return message.SerializeToString()


def decoded(*tensors):
    return decode_reply(reply(*tensors), call=CALL, server="grpc://h:1").outputs


def test_request_is_what_the_generated_message_would_be():
    features = np.arange(6, dtype=np.float32).reshape(2, 3)

    message = encoded(FEATURES=features, N=np.array(7))

    expected = service_pb2.ModelInferRequest(model_name="m", model_version="2", id="r")
    expected.inputs.add(name="FEATURES", datatype="FP32", shape=[2, 3])
    expected.inputs.add(name="N", datatype="INT64", shape=[])
    expected.raw_input_contents.append(features.tobytes())
    expected.raw_input_contents.append(np.array(7).tobytes())
    assert message == expected


# The length is written in one to five bytes: cross the first boundaries.
@pytest.mark.parametrize("n_bytes", [0, 1, 127, 128, 16383, 16384, 2_100_000])
def test_contents_of_any_length_are_framed(n_bytes):
    content = np.arange(n_bytes, dtype=np.uint8)

    assert encoded(X=content, Y=content[:1]).raw_input_contents[0] == content.tobytes()


def test_contiguous_tensors_are_not_copied():
    features = np.zeros((2, 3), np.float32)
    call = InferCall(
        model_name="m", model_version="", request_id="", inputs={"X": features}
    )

    parts = encode_call(call)

    assert np.shares_memory(np.frombuffer(parts[-1], np.uint8), features)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(3, 2).T,
        np.arange(12, dtype=np.float32)[::2],
    ],
    ids=["big-endian", "transposed", "strided"],
)
def test_values_are_sent_little_endian_in_row_order(array):
    (content,) = encoded(X=array).raw_input_contents

    assert content == array.astype("<f4").tobytes()


@given(
    st_numpy.arrays(
        dtype=st.sampled_from([np.bool_, np.int8, np.uint16, np.float16, np.float64]),
        shape=st_numpy.array_shapes(min_dims=0, min_side=0, max_side=4),
        elements={"allow_nan": False},
    )
)
def test_decoding_what_was_encoded_is_identity(array):
    message = encoded(X=array)
    (spec,), (content,) = message.inputs, message.raw_input_contents

    copy = decoded((spec.name, spec.datatype, spec.shape, content))["X"]

    np.testing.assert_array_equal(copy, array)
    assert copy.dtype == array.dtype
    assert copy.shape == array.shape


def test_bfloat16_is_sent_and_received():
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    message = encoded(X=array)

    copy = decoded(("X", "BF16", [2], message.raw_input_contents[0]))["X"]

    assert message.inputs[0].datatype == "BF16"
    np.testing.assert_array_equal(copy, array)


@given(st_numpy.arrays(object, st.just((2, 2)), elements=st.binary(max_size=9)))
def test_strings_are_written_and_read_as_tritonclient_does(array):
    (content,) = encoded(X=array).raw_input_contents

    assert content == serialize_byte_tensor(array).item()
    copy = decoded(("X", "BYTES", [2, 2], content))["X"]
    np.testing.assert_array_equal(copy, array)
    np.testing.assert_array_equal(deserialize_bytes_tensor(content), array.ravel())


def test_text_is_sent_as_utf8():
    (content,) = encoded(X=np.array(["é"])).raw_input_contents

    assert content == b"\x02\0\0\0\xc3\xa9"


def test_answers_are_read_only_views():
    labels = decoded(("LABELS", "INT64", [2], bytes(16)))["LABELS"]

    assert not labels.flags.writeable
    assert not labels.flags.owndata


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (("X", "INT64", [2], bytes(15)), r"expected INT64\[2\], got 15 bytes"),
        (("X", "INT64", [2], bytes(24)), r"expected INT64\[2\], got 24 bytes"),
        (("X", "BYTES", [1], b"\x05\0\0\0abc"), "elements of 9 bytes in 7 bytes"),
        (("X", "FP31", [1], b""), "unknown datatype 'FP31'"),
    ],
    ids=["short", "long", "string", "type"],
)
def test_contents_that_do_not_fill_the_shape_are_refused(tensor, message):
    with pytest.raises(InvalidAnswerError, match=message):
        decoded(tensor)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            service_pb2.ModelInferResponse(
                outputs=[{"name": "X", "datatype": "INT64", "shape": [1]}]
            ).SerializeToString(),
            "'X': expected values, got none",
        ),
        (b"\xff\xff", "expected a ModelInferResponse"),
    ],
    ids=["typed", "garbage"],
)
def test_answer_that_cannot_be_read_is_refused(message, text):
    with pytest.raises(InvalidAnswerError, match=text):
        decode_reply(message, call=CALL, server="grpc://h:1")
