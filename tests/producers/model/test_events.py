"""Events, chunks of events, and their features."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from producers import ColumnChunk, EventChunk, FeatureScale, node_features
from producers.model.chunk import part_ends
from sonic_client import ConfigError

XYZ = np.array([[0, 32, 8], [-72, 0, -40], [3, 4, 0]], dtype=np.float32)
# hand-made: r 32, 72, 5 mm; phi pi/2, pi, atan2(4, 3) rad
FEATURES = [
    [32 / 3000, np.pi / 6, 0.02],
    [72 / 3000, np.pi / 3, -0.1],
    [5 / 3000, np.arctan2(4, 3) / 3, 0.0],
]


def chunk_of(splits=(0, 2, 2, 3)):
    return EventChunk(
        event_ids=np.array([4, 5, 6]),
        row_splits=np.array(splits),
        xyz=XYZ,
        source=Path("events.root"),
        first_entry=10,
        detector={"layer": np.array([2, 4, 6])},
    )


def test_features_are_r_phi_z_over_the_scale():
    scale = FeatureScale(r_mm=3000.0, phi_rad=3.0, z_mm=400.0)

    features = node_features(XYZ, scale)

    assert features.dtype == np.float32
    np.testing.assert_allclose(features, FEATURES, rtol=1e-6)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 2)), np.zeros(3), np.full((1, 3), np.nan)]
)
def test_features_of_no_points_in_space_are_refused(bad):
    scale = FeatureScale(r_mm=1.0, phi_rad=1.0, z_mm=1.0)

    with pytest.raises(ValueError, match="expected"):
        node_features(bad, scale)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_a_scale_that_is_no_divisor_is_refused(bad):
    with pytest.raises(ConfigError, match="positive"):
        FeatureScale(r_mm=1.0, phi_rad=bad, z_mm=1.0)


def test_events_of_a_chunk_are_views_that_know_their_entry():
    whole = chunk_of()

    events = list(whole)

    assert [(e.event_id, e.entry, len(e)) for e in events] == [
        (4, 10, 2),
        (5, 11, 0),
        (6, 12, 1),
    ]
    assert all(np.shares_memory(e.xyz, whole.xyz) for e in events if len(e))
    assert whole[-1].entry == 12
    assert events[2]["layer"].tolist() == [6]
    assert events[2]["y"].tolist() == [4]


def test_a_part_of_a_chunk_is_a_chunk_of_views():
    jets = ak.Array([[{"pt": 1.0}], [{"pt": 2.0}, {"pt": 3.0}]])

    part = chunk_of().part(1, 3)
    columns = ColumnChunk.from_awkward(jets, first_entry=7).part(1, 2)

    assert [(e.event_id, e.entry, len(e)) for e in part] == [(5, 11, 0), (6, 12, 1)]
    assert np.shares_memory(part.xyz, XYZ)
    assert part.detector["layer"].tolist() == [6]
    (event,) = columns
    assert (event.event_id, event.entry, event["pt"].tolist()) == (8, 8, [2.0, 3.0])
    with pytest.raises(IndexError, match="no events 2 to 4 in a chunk of 3"):
        chunk_of().part(2, 4)


@pytest.mark.parametrize(
    "splits", [[0, 2, 3], [0, 2, 1, 3], [0, 2, 2, 4], [1, 2, 2, 3]]
)
def test_offsets_that_do_not_fit_the_rows_are_refused(splits):
    with pytest.raises(ValueError, match=r"offsets|expected 4 rows, got 3"):
        chunk_of(splits)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([5], [1]),
        ([2, 2, 2], [2, 3]),
        ([9, 1, 1], [1, 3]),
        ([0, 0, 0, 0], [3, 4]),
        ([4, 0, 1], [2, 3]),
    ],
)
def test_a_chunk_is_cut_into_parts(lengths, expected):
    splits = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)

    assert part_ends(splits, n_rows=4, n_events=3) == expected
