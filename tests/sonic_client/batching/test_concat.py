from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import (
    BatchingConfig,
    ClientConfig,
    ConfigError,
    ModelMetadata,
    Request,
    TensorMismatchError,
    TensorSpec,
)
from sonic_client.batching import (
    ConcatLayout,
    layout_of,
)

X, WEIGHTS = TensorSpec("X", "FP32", (-1, 2)), TensorSpec("W", "INT64", (-1,))
SPLITS = TensorSpec("ROW_SPLITS", "INT64", (-1,))
MODEL = ModelMetadata(
    name="m",
    version="1",
    platform="",
    inputs=(X, WEIGHTS, SPLITS),
    outputs=(X, WEIGHTS),
)


def request_of(n_rows, start=0):
    rows = np.arange(start, start + n_rows)
    return Request(
        start, {"X": np.stack([rows, -rows], axis=1).astype(np.float32), "W": rows}
    )


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_splitting_what_was_joined_is_identity(rows_per_request):
    layout = ConcatLayout(MODEL, BatchingConfig())
    batch = [
        layout.check(request_of(n_rows, start=100 * number))
        for number, n_rows in enumerate(rows_per_request)
    ]

    joined = layout.join(batch)
    parts = layout.split({name: joined[name] for name in ("X", "W")}, batch)

    assert joined["ROW_SPLITS"].tolist() == [0, *np.cumsum(rows_per_request)]
    assert joined["ROW_SPLITS"].dtype == np.int64
    assert len(parts) == len(batch)
    for item, part in zip(batch, parts, strict=True):
        for name, array in item.request.inputs.items():
            np.testing.assert_array_equal(part[name], array)


def test_a_single_request_is_joined_without_a_copy():
    layout = ConcatLayout(MODEL, BatchingConfig())
    request = request_of(3)

    joined = layout.join([layout.check(request)])

    assert joined["X"] is request.inputs["X"]
    assert joined["ROW_SPLITS"].tolist() == [0, 3]


def test_row_splits_are_not_for_the_caller_to_give():
    layout = ConcatLayout(MODEL, BatchingConfig())
    request = request_of(3)
    inputs = {**request.inputs, "ROW_SPLITS": np.array([0, 3])}

    error = layout.check(Request(0, inputs)).error

    assert isinstance(error, TensorMismatchError)
    assert [each.tensor for each in error.mismatches] == ["ROW_SPLITS"]


def test_inputs_of_unequal_length_cannot_share_row_splits():
    layout = ConcatLayout(MODEL, BatchingConfig())
    inputs = {"X": np.zeros((3, 2), np.float32), "W": np.zeros(4, np.int64)}

    error = layout.check(Request(0, inputs)).error

    assert str(error) == "model 'm': input 'W': expected 3 rows, got 4 rows"


def test_outputs_without_one_row_per_input_row_are_named():
    layout = ConcatLayout(MODEL, BatchingConfig())
    batch = [layout.check(request_of(2)), layout.check(request_of(3))]
    outputs = {"X": np.zeros((5, 2), np.float32), "W": np.zeros(4, np.int64)}

    (mismatch,) = layout.find_row_mismatches(outputs, batch)

    assert str(mismatch) == "'W': expected 5 rows, one per input row, got INT64[4]"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (replace(MODEL, inputs=(X, WEIGHTS)), r"no input ROW_SPLITS INT64\[-1\]"),
        (replace(MODEL, max_batch_size=8), "max_batch_size must be 0, got 8"),
        (
            replace(MODEL, outputs=(TensorSpec("SUM", "FP32", (1,)),)),
            r"first axis is not free: SUM FP32\[1\]",
        ),
    ],
    ids=["no row splits", "batched", "fixed output"],
)
def test_concat_refuses_models_that_cannot_take_it(model, message):
    config = ClientConfig(servers="h:1", model_name="m", layout="concat")

    with pytest.raises(ConfigError, match=message):
        layout_of(config, model)


def test_concat_refuses_outputs_whose_rows_no_event_can_claim():
    config = ClientConfig(
        servers="h:1",
        model_name="m",
        layout="concat",
        batching=BatchingConfig(variable_outputs=("W",)),
    )

    with pytest.raises(ConfigError, match="cannot be told apart by event: W"):
        layout_of(config, MODEL)
