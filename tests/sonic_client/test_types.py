import ml_dtypes
import numpy as np
import pytest

from sonic_client import ConfigError, TensorSpec
from sonic_client.types import datatype_of, numpy_dtype, payload_bytes


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        ("BOOL", np.bool_),
        ("UINT8", np.uint8),
        ("UINT16", np.uint16),
        ("UINT32", np.uint32),
        ("UINT64", np.uint64),
        ("INT8", np.int8),
        ("INT16", np.int16),
        ("INT32", np.int32),
        ("INT64", np.int64),
        ("FP16", np.float16),
        ("FP32", np.float32),
        ("FP64", np.float64),
        ("BF16", ml_dtypes.bfloat16),
        ("BYTES", np.object_),
    ],
)
def test_every_kserve_datatype_has_its_numpy_type(datatype, dtype):
    assert numpy_dtype(datatype) == np.dtype(dtype)
    assert datatype_of(np.dtype(dtype)) == datatype


def test_unknown_datatype_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'FP31', nearest: .*'FP32'"):
        numpy_dtype("FP31")


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [(">f4", "FP32"), ("<U5", "BYTES"), ("S3", "BYTES"), ("c8", "complex64")],
)
def test_other_numpy_types_are_named_by_what_they_hold(dtype, datatype):
    assert datatype_of(np.dtype(dtype)) == datatype


def test_spec_prints_as_a_declaration():
    assert str(TensorSpec("FEATURES", "FP32", (-1, 3))) == "FEATURES FP32[-1,3]"


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((47, 3), True), ((0, 3), True), ((47, 4), False), ((47,), False), ((), False)],
)
def test_spec_admits_shapes_that_differ_in_free_dimensions_only(shape, fits):
    assert TensorSpec("FEATURES", "FP32", (-1, 3)).admits(shape) is fits


def test_payload_counts_prefixes_of_strings():
    tensors = {
        "A": np.zeros((2, 3), np.float32),
        "B": np.array([b"", b"abc", "é"], dtype=object),
    }

    assert payload_bytes(tensors) == 24 + (4 + 0) + (4 + 3) + (4 + 2)
