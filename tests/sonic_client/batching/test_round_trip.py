"""Joining requests and splitting the answer is the identity, in every layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import BatchingConfig, ModelMetadata, Request, TensorSpec
from sonic_client.batching import (
    ConcatLayout,
    MessageLimits,
    PaddedLayout,
    PerEventLayout,
    RectangularLayout,
    plan_messages,
)

DATATYPES = ("BOOL", "UINT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES", "BF16")


def array_of(spec, shape, random):
    n_values = int(np.prod(shape))
    numbers = [random.randrange(100) for _ in range(n_values)]
    if spec.datatype == "BYTES":
        flat = np.empty(n_values, object)
        flat[:] = [b"x" * number for number in numbers]
    else:
        flat = np.array(numbers).astype(spec.dtype)
    return flat.reshape(shape)


def model_of(inputs, extra=(), max_batch_size=0):
    return ModelMetadata(
        name="echo",
        version="1",
        platform="",
        inputs=(*inputs, *extra),
        outputs=tuple(inputs),
        max_batch_size=max_batch_size,
    )


def sent_and_split(layout, requests):
    """The outputs of an echo model, as each request gets them."""
    checked = [layout.check(request) for request in requests]
    assert [item.error for item in checked] == [None] * len(checked)
    parts = {}
    for places in plan_messages(checked, MessageLimits(layout)):
        message = [checked[place] for place in places]
        joined = layout.join(message)
        outputs = {name: joined[name] for name in requests[0].inputs}
        assert layout.find_row_mismatches(outputs, message) == []
        parts.update(zip(places, layout.split(outputs, message), strict=True))
    return [parts[place] for place in range(len(requests))]


def assert_same(requests, parts):
    assert len(parts) == len(requests)
    for request, part in zip(requests, parts, strict=True):
        assert part.keys() == request.inputs.keys()
        for name, array in request.inputs.items():
            assert part[name].dtype == array.dtype
            assert part[name].shape == array.shape
            assert part[name].tolist() == array.tolist()


datatypes = st.tuples(st.sampled_from(DATATYPES), st.sampled_from(DATATYPES))
randoms = st.randoms(use_true_random=False)
rows = st.lists(st.integers(0, 6), max_size=10)


@given(rows, datatypes, randoms, st.integers(1, 4))
def test_concat(n_rows, types, random, max_events):
    x, w = TensorSpec("X", types[0], (-1, 2)), TensorSpec("W", types[1], (-1,))
    layout = ConcatLayout(
        model_of([x, w], [TensorSpec("ROW_SPLITS", "INT64", (-1,))]),
        BatchingConfig(max_events=max_events),
    )
    requests = [
        Request(i, {"X": array_of(x, (n, 2), random), "W": array_of(w, (n,), random)})
        for i, n in enumerate(n_rows)
    ]

    assert_same(requests, sent_and_split(layout, requests))


@given(rows, datatypes, randoms, st.integers(1, 4))
def test_padded(n_rows, types, random, max_events):
    x = TensorSpec("X", types[0], (-1, -1, 2))
    constant = TensorSpec("C", types[1], (-1, 3))
    layout = PaddedLayout(
        model_of([x, constant], [TensorSpec("MASK", "BOOL", (-1, -1))]),
        BatchingConfig(max_events=max_events, padding_value=7),
    )
    requests = [
        Request(
            i,
            {
                "X": array_of(x, (n, 2), random),
                "C": array_of(constant, (3,), random),
            },
        )
        for i, n in enumerate(n_rows)
    ]

    assert_same(requests, sent_and_split(layout, requests))


@given(rows, st.lists(st.integers(0, 2), min_size=10), datatypes, randoms)
def test_rectangular_with_requests_of_several_shapes(n_rows, widths, types, random):
    x, w = TensorSpec("X", types[0], (-1, -1)), TensorSpec("W", types[1], (-1,))
    layout = RectangularLayout(model_of([x, w], max_batch_size=8), BatchingConfig())
    requests = [
        Request(
            i,
            {
                "X": array_of(x, (n, width), random),
                "W": array_of(w, (n,), random),
            },
        )
        for i, (n, width) in enumerate(zip(n_rows, widths, strict=False))
    ]

    assert_same(requests, sent_and_split(layout, requests))


@given(rows, datatypes, randoms)
def test_per_event(n_rows, types, random):
    x, w = TensorSpec("X", types[0], (-1, 2)), TensorSpec("W", types[1], (-1,))
    layout = PerEventLayout(model_of([x, w]), BatchingConfig())
    requests = [
        Request(i, {"X": array_of(x, (n, 2), random), "W": array_of(w, (n,), random)})
        for i, n in enumerate(n_rows)
    ]

    assert_same(requests, sent_and_split(layout, requests))


@pytest.mark.parametrize("n_rows", [0, 1, 8, 9, 20])
def test_rectangular_parts_of_a_request_make_it_whole_again(n_rows):
    x = TensorSpec("X", "FP32", (-1, 3))
    layout = RectangularLayout(model_of([x], max_batch_size=8), BatchingConfig())
    whole = np.arange(3 * n_rows, dtype=np.float32).reshape(n_rows, 3)

    parts = layout.cut(layout.check(Request("big", {"X": whole})), 8)

    assert all(part.batch_size <= 8 for part in parts)
    arrays = [part.request.inputs["X"] for part in parts]
    np.testing.assert_array_equal(np.concatenate(arrays), whole)
