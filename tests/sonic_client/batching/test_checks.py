import numpy as np
import pytest

from sonic_client import Mismatch, TensorSpec
from sonic_client.batching.checks import find_input_mismatches, find_output_mismatches

SPECS = (
    TensorSpec("FEATURES", "FP32", (-1, 3)),
    TensorSpec("NAMES", "BYTES", (-1,)),
    TensorSpec("MASK", "BOOL", (-1,), optional=True),
)


def inputs(**changes):
    tensors = {
        "FEATURES": np.zeros((2, 3), np.float32),
        "NAMES": np.array([b"a", "b"], dtype=object),
    }
    return {**tensors, **changes}


@pytest.mark.parametrize(
    "tensors",
    [
        inputs(),
        inputs(MASK=np.array([True])),
        inputs(FEATURES=np.zeros((0, 3), np.float32)),
        inputs(FEATURES=np.zeros((2, 3), ">f4")),
        inputs(FEATURES=np.zeros((3, 2), np.float32).T),
        inputs(NAMES=np.array(["text", "as numpy keeps it"])),
    ],
    ids=["plain", "optional", "empty", "big-endian", "transposed", "text"],
)
def test_what_the_model_declares_is_accepted(tensors):
    assert find_input_mismatches(tensors, SPECS, max_batch_size=0) == []


@pytest.mark.parametrize(
    ("tensors", "mismatch"),
    [
        (
            inputs(FEATURES=np.zeros((2, 3))),
            Mismatch("FEATURES", "FP32[-1,3]", "FP64[2,3]"),
        ),
        (
            inputs(FEATURES=np.zeros((2, 4), np.float32)),
            Mismatch("FEATURES", "FP32[-1,3]", "FP32[2,4]"),
        ),
        (
            inputs(FEATURES=[[1.0, 2.0, 3.0]]),
            Mismatch("FEATURES", "FP32[-1,3]", "list"),
        ),
        (
            inputs(NAMES=np.array([b"a", 5], dtype=object)),
            Mismatch("NAMES", "elements of type bytes", "int"),
        ),
        (
            inputs(MASKS=np.array([True])),
            Mismatch("MASKS", "no such input", "BOOL[1]; nearest: 'MASK'"),
        ),
    ],
    ids=["type", "shape", "not an array", "element", "name"],
)
def test_each_difference_says_what_was_expected(tensors, mismatch):
    assert find_input_mismatches(tensors, SPECS, max_batch_size=0) == [mismatch]


def test_all_differences_are_found_at_once():
    tensors = {"FEATURES": np.zeros(3), "LABELS": np.zeros(3)}

    found = find_input_mismatches(tensors, SPECS, max_batch_size=0)

    assert [each.tensor for each in found] == ["FEATURES", "NAMES", "LABELS"]


def test_more_rows_than_the_model_batches_are_refused():
    specs = (TensorSpec("X", "FP32", (-1, 2)),)
    tensors = {"X": np.zeros((9, 2), np.float32)}

    found = find_input_mismatches(tensors, specs, max_batch_size=8)

    assert found == [Mismatch("X", "at most 8 rows", "9 rows")]


def test_answers_must_have_all_outputs_and_may_have_others():
    specs = (TensorSpec("LABELS", "INT64", (-1,)), TensorSpec("SCORES", "FP32", (-1,)))
    outputs = {"LABELS": np.zeros(2, np.int32), "EXTRA": np.zeros(1)}

    assert find_output_mismatches(outputs, specs) == [
        Mismatch("LABELS", "INT64[-1]", "INT32[2]"),
        Mismatch("SCORES", "FP32[-1]", "nothing"),
    ]
