"""What the layouts make of requests, and which models they refuse."""

from dataclasses import replace

import numpy as np
import pytest

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
    PaddedLayout,
    RectangularLayout,
    layout_of,
)

X, WEIGHTS = TensorSpec("X", "FP32", (-1, 2)), TensorSpec("W", "INT64", (-1,))
CLOUD = ModelMetadata(
    name="m", version="1", platform="", inputs=(X, WEIGHTS), outputs=(X, WEIGHTS)
)
CONCAT = replace(CLOUD, inputs=(X, WEIGHTS, TensorSpec("ROW_SPLITS", "INT64", (-1,))))
PADDED = ModelMetadata(
    name="p",
    version="1",
    platform="",
    inputs=(
        TensorSpec("SEED", "INT64", (-1, 1)),
        TensorSpec("X", "FP32", (-1, -1, 2)),
        TensorSpec("MASK", "FP32", (-1, -1)),
    ),
    outputs=(
        TensorSpec("LABELS", "INT64", (-1, -1)),
        TensorSpec("MEAN", "FP32", (-1, 2)),
    ),
    max_batch_size=8,
)
IMAGES = ModelMetadata(
    name="i",
    version="1",
    platform="",
    inputs=(TensorSpec("IMAGE", "FP32", (-1, 4)),),
    outputs=(TensorSpec("CLASS", "INT64", (-1,)),),
    max_batch_size=8,
)


def config_of(layout, **batching):
    return ClientConfig(
        servers="h:1",
        model_name="m",
        layout=layout,
        batching=BatchingConfig(**batching),
    )


def cloud(n_rows, n_weights=None):
    n_weights = n_rows if n_weights is None else n_weights
    return Request(
        "cloud",
        {"X": np.zeros((n_rows, 2), np.float32), "W": np.zeros(n_weights, np.int64)},
    )


def padded_request(n_rows):
    return Request(
        n_rows,
        {
            "SEED": np.array([n_rows]),
            "X": np.full((n_rows, 2), n_rows, np.float32),
        },
    )


def test_per_event_sends_the_callers_own_arrays():
    layout = layout_of(config_of("per_event"), CLOUD)
    request = cloud(3)
    checked = layout.check(request)

    assert layout.join([checked]) is request.inputs
    assert (checked.n_rows, checked.n_bytes) == (3, 3 * (2 * 4 + 8))


def test_an_output_with_other_rows_than_the_inputs_is_named():
    layout = layout_of(config_of("per_event"), CLOUD)
    outputs = {"X": np.zeros((3, 2), np.float32), "W": np.zeros(4, np.int64)}

    (mismatch,) = layout.find_row_mismatches(outputs, [layout.check(cloud(3))])

    assert str(mismatch) == "'W': expected 3 rows, one per input row, got INT64[4]"


def test_an_output_may_have_the_rows_of_any_input():
    layout = layout_of(config_of("per_event"), CLOUD)
    outputs = {"X": np.zeros((3, 2), np.float32), "W": np.zeros(5, np.int64)}
    batch = [layout.check(cloud(3, n_weights=5))]

    assert layout.find_row_mismatches(outputs, batch) == []


@pytest.mark.parametrize("declared", [("W",), ("*",)], ids=["by name", "all"])
def test_a_variable_output_may_have_any_rows(declared):
    layout = layout_of(config_of("per_event", variable_outputs=declared), CLOUD)

    batch = [layout.check(cloud(3))]

    assert layout.find_row_mismatches({"W": np.zeros(4)}, batch) == []


def test_a_single_request_is_joined_without_a_copy():
    layout = ConcatLayout(CONCAT, BatchingConfig())
    request = cloud(3)

    joined = layout.join([layout.check(request)])

    assert joined["X"] is request.inputs["X"]
    assert joined["ROW_SPLITS"].tolist() == [0, 3]


def test_row_splits_are_not_for_the_caller_to_give():
    layout = ConcatLayout(CONCAT, BatchingConfig())
    request = cloud(3)
    inputs = {**request.inputs, "ROW_SPLITS": np.array([0, 3])}

    error = layout.check(Request(0, inputs)).error

    assert isinstance(error, TensorMismatchError)
    assert [each.tensor for each in error.mismatches] == ["ROW_SPLITS"]


def test_inputs_of_unequal_length_cannot_share_row_splits():
    layout = ConcatLayout(CONCAT, BatchingConfig())
    inputs = {"X": np.zeros((3, 2), np.float32), "W": np.zeros(4, np.int64)}

    error = layout.check(Request(0, inputs)).error

    assert str(error) == "model 'm': input 'W': expected 3 rows, got 4 rows"


def test_outputs_without_one_row_per_input_row_are_named():
    layout = ConcatLayout(CONCAT, BatchingConfig())
    batch = [layout.check(cloud(2)), layout.check(cloud(3))]
    outputs = {"X": np.zeros((5, 2), np.float32), "W": np.zeros(4, np.int64)}

    (mismatch,) = layout.find_row_mismatches(outputs, batch)

    assert str(mismatch) == "'W': expected 5 rows, one per input row, got INT64[4]"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (replace(CONCAT, inputs=(X, WEIGHTS)), r"no input ROW_SPLITS INT64\[-1\]"),
        (replace(CONCAT, max_batch_size=8), "max_batch_size must be 0, got 8"),
        (
            replace(CONCAT, outputs=(TensorSpec("SUM", "FP32", (1,)),)),
            r"first axis is not free: SUM FP32\[1\]",
        ),
    ],
    ids=["no row splits", "batched", "fixed output"],
)
def test_concat_refuses_models_that_cannot_take_it(model, message):
    with pytest.raises(ConfigError, match=message):
        layout_of(config_of("concat"), model)


def test_concat_refuses_outputs_whose_rows_no_event_can_claim():
    config = config_of("concat", variable_outputs=("W",))

    with pytest.raises(ConfigError, match="cannot be told apart by event: W"):
        layout_of(config, CONCAT)


def test_padded_fills_up_to_the_longest_and_marks_what_is_real():
    layout = PaddedLayout(PADDED, BatchingConfig(padding_value=-1.0))
    batch = [layout.check(padded_request(n)) for n in (1, 3, 0)]

    joined = layout.join(batch)

    assert joined["X"].shape == (3, 3, 2)
    assert joined["X"][:, :, 0].tolist() == [[1, -1, -1], [3, 3, 3], [-1, -1, -1]]
    assert joined["MASK"].tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert joined["MASK"].dtype == np.float32
    assert joined["SEED"].tolist() == [[1], [3], [0]]


def test_padded_stacks_inputs_of_one_value_per_event():
    inputs = (TensorSpec("ID", "INT64", (-1,)), *PADDED.inputs[1:])
    layout = PaddedLayout(replace(PADDED, inputs=inputs), BatchingConfig())
    requests = [
        Request(n, {"ID": np.array(n), "X": np.zeros((n, 2), np.float32)})
        for n in (2, 1)
    ]
    batch = [layout.check(request) for request in requests]

    assert [item.error for item in batch] == [None, None]
    assert layout.join(batch)["ID"].tolist() == [2, 1]


def test_padded_outputs_lose_the_rows_that_filled_up():
    layout = PaddedLayout(PADDED, BatchingConfig())
    batch = [layout.check(padded_request(n)) for n in (1, 3, 0)]
    outputs = {
        "LABELS": np.arange(9).reshape(3, 3),
        "MEAN": np.arange(6, dtype=np.float32).reshape(3, 2),
    }

    parts = layout.split(outputs, batch)

    assert [p["LABELS"].tolist() for p in parts] == [[0], [3, 4, 5], []]
    assert [p["MEAN"].tolist() for p in parts] == [[0, 1], [2, 3], [4, 5]]


def test_padded_outputs_of_other_axes_are_named():
    layout = PaddedLayout(PADDED, BatchingConfig())
    batch = [layout.check(padded_request(n)) for n in (1, 3)]
    outputs = {"LABELS": np.zeros((2, 4)), "MEAN": np.zeros((3, 2))}

    mismatches = layout.find_row_mismatches(outputs, batch)

    assert [str(m) for m in mismatches] == [
        "'LABELS': expected 2 x 3 events x rows first, got FP64[2,4]",
        "'MEAN': expected 2 events first, got FP64[3,2]",
    ]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (replace(PADDED, inputs=PADDED.inputs[:2]), r"no input MASK \[-1,-1\]"),
        (
            replace(
                PADDED,
                inputs=(*PADDED.inputs[:2], TensorSpec("MASK", "BYTES", (-1, -1))),
            ),
            r"got MASK BYTES\[-1,-1\]",
        ),
        (
            replace(PADDED, inputs=(PADDED.inputs[0], PADDED.inputs[2])),
            "no input has a free second axis",
        ),
        (
            replace(PADDED, outputs=(TensorSpec("SUM", "FP32", (1,)),)),
            r"first axis is not free: SUM FP32\[1\]",
        ),
    ],
    ids=["no mask", "mask of text", "nothing ragged", "fixed output"],
)
def test_padded_refuses_models_that_cannot_take_it(model, message):
    with pytest.raises(ConfigError, match=message):
        layout_of(config_of("padded"), model)


def test_rectangular_refuses_clouds():
    with pytest.raises(ConfigError, match="max_batch_size 0, so no batch dimension"):
        layout_of(config_of("rectangular"), CLOUD)


def test_rectangular_requests_of_another_shape_are_of_another_kind():
    model = replace(IMAGES, inputs=(TensorSpec("IMAGE", "FP32", (-1, -1)),))
    layout = RectangularLayout(model, BatchingConfig())

    def checked(*shape):
        return layout.check(Request(0, {"IMAGE": np.zeros(shape, np.float32)}))

    assert checked(1, 4).kind == checked(2, 4).kind != checked(1, 5).kind


def test_rectangular_inputs_must_agree_in_the_batch_dimension():
    model = replace(IMAGES, inputs=(*IMAGES.inputs, TensorSpec("W", "INT64", (-1,))))
    layout = RectangularLayout(model, BatchingConfig())
    inputs = {"IMAGE": np.zeros((2, 4), np.float32), "W": np.zeros(3, np.int64)}

    error = layout.check(Request(0, inputs)).error

    assert "input 'W': expected 2 elements of the batch, got 3" in str(error)


def test_a_cloud_is_never_cut():
    layout = layout_of(config_of("per_event"), CLOUD)
    item = layout.check(cloud(47))

    assert layout.cut(item, 10) == [item]


@pytest.mark.parametrize(
    ("model", "layout"), [(CLOUD, "PerEventLayout"), (IMAGES, "RectangularLayout")]
)
def test_auto_takes_the_layout_that_cannot_be_wrong(model, layout):
    assert type(layout_of(config_of("auto"), model)).__name__ == layout


@pytest.mark.parametrize(
    "model",
    [PADDED, CONCAT],
    ids=["mask", "row splits"],
)
def test_auto_does_not_guess(model):
    with pytest.raises(ConfigError, match="say 'concat', 'padded' or 'per_event'"):
        layout_of(config_of("auto"), model)
