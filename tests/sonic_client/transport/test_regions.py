"""Where tensors lie in shared memory: never on one another, never beyond the end."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import ModelMetadata, TensorSpec
from sonic_client.transport import InferCall
from sonic_client.transport.regions import end_of, grown_size, plan_regions


def call_of(**inputs):
    return InferCall(model_name="m", model_version="", request_id="", inputs=inputs)


def metadata_of(*outputs, max_batch_size=0):
    return ModelMetadata(
        name="m",
        version="1",
        platform="",
        inputs=(),
        outputs=outputs,
        max_batch_size=max_batch_size,
    )


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_inputs_lie_behind_one_another(sizes):
    arrays = {f"X{n}": np.zeros(size, np.int8) for n, size in enumerate(sizes)}

    spans = plan_regions(call_of(**arrays), None).inputs

    assert spans.keys() == {name for name, array in arrays.items() if array.size}
    for name, span in spans.items():
        assert span.n_bytes == arrays[name].nbytes
        assert span.offset % 64 == 0
    for span, following in pairwise(spans.values()):
        assert span.offset + span.n_bytes <= following.offset
    assert end_of(spans) >= sum(sizes)


def test_texts_travel_in_the_message():
    call = call_of(A=np.array([b"text"], dtype=object), B=np.zeros(2))

    assert list(plan_regions(call, None).inputs) == ["B"]


@pytest.mark.parametrize(
    ("spec", "max_batch_size", "n_bytes"),
    [
        (TensorSpec("Y", "FP32", (4, 3)), 0, 48),
        (TensorSpec("Y", "FP32", (-1, 3)), 0, None),
        (TensorSpec("Y", "FP32", (-1, 3)), 8, 24),
        (TensorSpec("Y", "FP32", (-1, -1)), 8, None),
        (TensorSpec("Y", "BYTES", (4,)), 0, None),
    ],
    ids=["fixed", "free", "batch", "batch and free", "text"],
)
def test_outputs_need_a_size_that_is_known(spec, max_batch_size, n_bytes):
    call = call_of(X=np.zeros((2, 5), np.float32))
    metadata = metadata_of(spec, max_batch_size=max_batch_size)

    spans = plan_regions(call, metadata).outputs

    assert {name: span.n_bytes for name, span in spans.items()} == (
        {} if n_bytes is None else {"Y": n_bytes}
    )


@given(st.integers(1, 2**33))
def test_a_new_region_has_room_and_is_not_twice_too_large(n_bytes):
    size = grown_size(n_bytes)

    assert n_bytes <= size <= max(2 * n_bytes, 2**16)
