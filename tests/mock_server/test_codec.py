import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from tritonclient.utils import serialize_byte_tensor

from mock_server.wire.codec import (
    datatype_of,
    decode,
    element_count,
    encode,
    encode_wrapped,
    pack_strings,
    unpack_strings,
)

FIXED_SIZE = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@pytest.mark.parametrize(("datatype", "dtype"), FIXED_SIZE.items())
@given(data=st.data())
def test_encoded_array_decodes_to_itself(datatype, dtype, data):
    array = data.draw(hnp.arrays(dtype, shapes))

    raw = encode(array, datatype)
    decoded = decode(raw, datatype, array.shape)

    assert datatype_of(array) == datatype
    assert len(raw) == array.nbytes
    assert decoded.dtype == dtype
    assert_array_equal(decoded, array)


@given(hnp.arrays(object, shapes, elements=st.binary(max_size=8)))
def test_strings_decode_to_themselves_and_are_packed_as_by_tritonclient(array):
    raw = encode(array, "BYTES")

    assert datatype_of(array) == "BYTES"
    assert_array_equal(decode(raw, "BYTES", array.shape), array)
    if array.size:
        assert raw == serialize_byte_tensor(array).item()


def test_bfloat16_rounds_as_ml_dtypes_does():
    kept = np.arange(2**16, dtype=np.uint32)[:, None] << np.uint32(16)
    cut_off = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=np.uint32)
    array = (kept | cut_off).view(np.float32)
    with np.errstate(all="ignore"):  # signalling NaNs are among them
        expected = array.astype(ml_dtypes.bfloat16).astype(np.float32)

    decoded = decode(encode(array, "BF16"), "BF16", array.shape)

    assert decoded.dtype == np.float32
    assert_array_equal(decoded, expected)


def test_bfloat16_array_of_ml_dtypes_is_taken_as_it_is():
    array = np.array([1.5, -2.0], dtype=ml_dtypes.bfloat16)

    raw = encode(array, datatype_of(array))

    assert datatype_of(array) == "BF16"
    assert raw == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.arange(12, dtype="<i4").reshape(2, 6)[:, ::2],
        np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3)),
    ],
    ids=["big-endian", "strided", "fortran-order"],
)
def test_layout_of_the_array_does_not_reach_the_wire(array):
    assert encode(array, datatype_of(array)) == array.astype("<i4").tobytes("C")


def test_text_is_sent_as_utf8():
    assert encode(np.array(["µ", "b"]), "BYTES") == b"\2\0\0\0\xc2\xb5\1\0\0\0b"


def test_decoded_array_is_writable_and_its_own():
    raw = np.zeros(3, dtype="<f4").tobytes()

    array = decode(raw, "FP32", (3,))
    array += 1

    assert raw == bytes(12)


def test_typed_integers_out_of_range_wrap():
    assert encode_wrapped([300, -129], "INT8") == bytes([44, 127])
    assert encode_wrapped([256 + 7], "UINT8") == bytes([7])
    assert encode_wrapped([2**64 - 1], "UINT64") == b"\xff" * 8


def test_array_without_a_datatype_is_refused():
    with pytest.raises(TypeError, match="no KServe datatype for arrays of complex128"):
        datatype_of(np.zeros(1, dtype=complex))


@pytest.mark.parametrize("raw", [b"\3\0\0", b"\3\0\0\0ab"], ids=["length", "content"])
def test_string_cut_off_is_refused(raw):
    with pytest.raises(ValueError, match="cut off"):
        unpack_strings(raw)


def test_strings_pack_behind_their_lengths():
    assert pack_strings([b"", "ab"]) == b"\0\0\0\0\2\0\0\0ab"


def test_empty_dimension_leaves_no_elements_and_no_dimension_leaves_one():
    assert element_count((4, 0, 3)) == 0
    assert element_count(()) == 1
    assert element_count((2, -3)) == -6


def test_elements_are_counted_in_64_bits():
    assert element_count((2**62, 2)) == -(2**63)
    assert element_count((2**32, 2**32)) == 0
    # As many dimensions as a small message holds; an exact product has 300,000 digits.
    assert element_count([2**63 - 1] * 16_001) == 2**63 - 1
