"""Nested arrays in, nested arrays out."""

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import ArrayFailedError
from producers.adapters.awkward import infer_awkward
from sonic_client import (
    BatchingConfig,
    Client,
    ClientConfig,
    ConfigError,
    ModelMetadata,
    RejectedRequestError,
    TensorSpec,
)
from sonic_client.transport import FakeTransport

MODEL = ModelMetadata(
    name="m",
    version="1",
    platform="",
    inputs=(TensorSpec("X", "FP32", (-1, 2)), TensorSpec("W", "INT64", (-1,))),
    outputs=(
        TensorSpec("X", "FP32", (-1, 2)),
        TensorSpec("W", "INT64", (-1,)),
        TensorSpec("SUM", "INT64", (1,)),
    ),
)


async def echo_and_sum(call):
    weights = call.inputs["W"]
    if (weights == 13).any():
        raise RejectedRequestError(server="s", status="INVALID_ARGUMENT", details="13")
    return {**call.inputs, "SUM": weights.sum(keepdims=True)}


def infer(inputs, respond=echo_and_sum, metadata=MODEL, **options):
    config = ClientConfig(servers="fake:1", model_name="m")
    transport = FakeTransport(metadata, respond)
    with Client(config, transport=transport) as client:
        return infer_awkward(client, inputs, **options)


def events_of(n_rows, first_value=0):
    """Columns of two floats and one integer, of so many rows an event."""
    total = sum(n_rows)
    x = np.arange(2 * total, dtype=np.float32).reshape(total, 2)
    w = np.arange(first_value, first_value + total)
    counts = np.array(n_rows, dtype=np.int64)
    return {"X": ak.unflatten(x, counts), "W": ak.unflatten(w, counts)}


@given(st.lists(st.integers(0, 4), max_size=8))
def test_what_goes_in_comes_out_with_its_counts(n_rows):
    inputs = events_of(n_rows, first_value=100)

    outputs = infer(inputs)

    for name in ("X", "W"):
        assert outputs[name].to_list() == inputs[name].to_list()
        assert ak.num(outputs[name]).to_list() == n_rows
    assert outputs["SUM"].to_list() == [[sum(e)] for e in inputs["W"].to_list()]


def test_no_events_keep_the_types():
    outputs = infer(events_of([]))

    assert str(outputs["X"].type) == "0 * var * 2 * float32"
    assert str(outputs["W"].type) == "0 * var * int64"
    assert str(outputs["SUM"].type) == "0 * 1 * int64"


def test_an_output_may_have_a_length_of_its_own():
    metadata = ModelMetadata(
        name="m",
        version="1",
        platform="",
        inputs=MODEL.inputs[1:],
        outputs=(TensorSpec("TRACKS", "INT64", (-1,)),),
    )

    async def first_half(call):
        return {"TRACKS": call.inputs["W"][: len(call.inputs["W"]) // 2]}

    config = ClientConfig(
        servers="fake:1",
        model_name="m",
        batching=BatchingConfig(variable_outputs=("TRACKS",)),
    )
    with Client(config, transport=FakeTransport(metadata, first_half)) as client:
        outputs = infer_awkward(client, {"W": events_of([4, 1, 3])["W"]})

    assert outputs["TRACKS"].to_list() == [[0, 1], [], [5]]


def test_an_event_without_an_answer_is_masked():
    inputs = events_of([2, 2, 2], first_value=10)

    outputs = infer(inputs, on_failure="mask")

    assert outputs["W"].to_list() == [[10, 11], None, [14, 15]]
    assert outputs["SUM"].to_list() == [[21], None, [29]]


def test_an_event_without_an_answer_is_named_with_its_model_server_and_cause():
    with pytest.raises(ArrayFailedError) as caught:
        infer(events_of([2, 2, 2], first_value=10))

    assert str(caught.value).startswith("model 'm': event 1 of 3: server s rejected")
    assert "13" in str(caught.value)
    assert isinstance(caught.value.__cause__, RejectedRequestError)


def test_the_causes_of_masked_events_are_told():
    failed = []

    infer(
        events_of([2, 2, 2], first_value=10),
        on_failure="mask",
        on_unanswered=failed.append,
    )

    assert [each.part for each in failed] == ["event 1 of 3"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"X": ak.Array([[[1.0, 2.0]]]), "W": ak.Array([[1], [2]])},
            r"one length, got \{'X': 1, 'W': 2\} events",
        ),
        ({"W": ak.Array([1, 2])}, "'W': expected a list per event"),
        (
            {"X": ak.Array([[[1.0, 2.0], [3.0]]])},
            "expected axes of fixed length after that of the rows",
        ),
        ({"W": ak.Array([[1, None]])}, "expected axes of fixed length"),
    ],
    ids=["other events", "flat", "ragged rows", "missing values"],
)
def test_what_no_tensor_can_hold_is_named(inputs, message):
    with pytest.raises(ConfigError, match=message):
        infer(inputs)
