"""The producer that finds tracks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from producers import (
    Event,
    EventChunk,
    TrackFindingProducer,
)
from sonic_client import ConfigError, InvalidAnswerError, ModelMetadata, TensorSpec

METADATA = ModelMetadata(
    name="exatrkx",
    version="1",
    platform="python",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
    parameters={"feature_names": "r,phi,z", "feature_scales": "3000.0,3.0,400.0"},
)
XYZ = np.array([[0, 32, 8], [-72, 0, -40], [3, 4, 0]], dtype=np.float32)
# hand-made: r 32, 72, 5 mm; phi pi/2, pi, atan2(4, 3) rad
FEATURES = [
    [32 / 3000, np.pi / 6, 0.02],
    [72 / 3000, np.pi / 3, -0.1],
    [5 / 3000, np.arctan2(4, 3) / 3, 0.0],
]


def chunk():
    return EventChunk(
        event_ids=np.array([4, 5, 6]),
        row_splits=np.array([0, 2, 2, 3]),
        xyz=XYZ,
        source=Path("events.root"),
        first_entry=10,
    )


def event(xyz):
    return Event(event_id=4, xyz=xyz, source=Path("events.root"), entry=0)


def with_parameters(**changed):
    parameters = {k: v for k, v in (METADATA.parameters | changed).items() if v}
    return replace(METADATA, parameters=parameters)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"feature_scales": ""}, "declares no parameter 'feature_scales'"),
        ({"feature_names": ""}, "declares no parameter 'feature_names'"),
        ({"feature_names": "r,phi,z,eta"}, "takes the features r,phi,z,eta"),
        ({"feature_scales": "3000,3.14"}, "expected three numbers"),
        ({"feature_scales": "3000,pi,400"}, "expected three numbers"),
        ({"feature_scales": "3000,0,400"}, "positive"),
    ],
)
def test_a_model_that_does_not_say_its_scale_is_refused(changed, expected):
    with pytest.raises(ConfigError, match=expected):
        TrackFindingProducer(with_parameters(**changed))


@pytest.mark.parametrize(
    "metadata",
    [
        replace(METADATA, inputs=(TensorSpec("FEATURES", "FP32", (-1, 12)),)),
        replace(METADATA, inputs=(TensorSpec("INPUT__0", "FP32", (-1, 3)),)),
        replace(METADATA, outputs=(TensorSpec("LABELS", "FP32", (-1,)),)),
    ],
    ids=["width", "name", "type"],
)
def test_a_model_with_other_tensors_cannot_find_tracks(metadata):
    with pytest.raises(ConfigError, match=r"'exatrkx' cannot find tracks: expected"):
        TrackFindingProducer(metadata)


def test_features_prepared_for_a_chunk_equal_those_of_each_event():
    producer = TrackFindingProducer(METADATA)

    prepared = list(producer.prepare(chunk()))

    for whole, alone in zip(prepared, chunk(), strict=True):
        features = producer.acquire(whole)["FEATURES"]
        np.testing.assert_array_equal(features, producer.acquire(alone)["FEATURES"])
    np.testing.assert_allclose(prepared[0].features, FEATURES[:2], rtol=1e-6)


def test_candidates_are_numbered_by_their_first_point_and_ordered_outward():
    r = np.array([5, 40, 3, 20, 1, 30, 9, 2], dtype=np.float32)
    xyz = np.column_stack((np.zeros(8), r, -r)).astype(np.float32)
    components = np.array([9, 4, 9, 4, 7, 4, 9, 7])
    producer = TrackFindingProducer(METADATA, min_space_points=3)

    found = producer.produce(event(xyz), {"LABELS": components})

    assert found.labels.tolist() == [0, 1, 0, 1, -1, 1, 0, -1]
    assert found.sizes.tolist() == [3, 3]
    assert found[0].tolist() == [2, 0, 6]
    assert found[1].tolist() == [3, 5, 1]


def test_an_empty_event_has_no_candidates():
    producer = TrackFindingProducer(METADATA)
    empty = event(np.empty((0, 3), dtype=np.float32))

    inputs = producer.acquire(empty)
    found = producer.produce(empty, {"LABELS": np.empty(0, dtype=np.int64)})

    assert inputs["FEATURES"].shape == (0, 3)
    assert len(found) == len(found.labels) == len(found.space_points) == 0


def test_a_label_too_few_is_refused():
    producer = TrackFindingProducer(METADATA)

    with pytest.raises(InvalidAnswerError, match=r"INT64\[3\], got INT64\[2\]"):
        producer.produce(event(XYZ), {"LABELS": np.zeros(2, dtype=np.int64)})
