"""Candidates of many events at once are those of each event, as written in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from producers import CandidateChunk, TrackCandidates
from producers.model.components import outward_order, squared_distance

LABELS = st.one_of(st.integers(-2, 6), st.sampled_from([10**12, 10**18]))
COORDINATES = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 3.0]),
    st.floats(-1e4, 1e4, width=32),
    st.sampled_from([1000.0, float(np.nextafter(np.float32(1000), np.float32(2000)))]),
)


@st.composite
def events(draw):
    lengths = draw(st.lists(st.integers(0, 12), min_size=1, max_size=6))
    labels = [draw(st.lists(LABELS, min_size=n, max_size=n)) for n in lengths]
    xyz = draw(
        hnp.arrays(
            np.float32, (sum(lengths), 3), elements=COORDINATES, fill=st.nothing()
        )
    )
    splits = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    flat = np.array([label for each in labels for label in each], dtype=np.int64)
    return flat, xyz, splits


def in_words(components, xyz, min_space_points):
    """The definition, point by point."""
    members = {}
    for point, number in enumerate(components.tolist()):
        if number >= 0:
            members.setdefault(number, []).append(point)
    kept = [points for points in members.values() if len(points) >= min_space_points]
    distance2 = (xyz.astype(np.float64) ** 2) @ np.ones(3)
    labels = np.full(len(components), -1)
    for label, points in enumerate(kept):
        labels[points] = label
    outward = [sorted(points, key=lambda p: (distance2[p], p)) for points in kept]
    return labels.tolist(), outward


@given(events(), st.integers(1, 4))
def test_a_chunk_has_the_candidates_of_each_event(sample, min_space_points):
    components, xyz, splits = sample

    chunk = CandidateChunk.from_components(
        components, xyz, splits, min_space_points=min_space_points
    )

    assert len(chunk) == len(splits) - 1
    for index, found in enumerate(chunk):
        rows = slice(splits[index], splits[index + 1])
        labels, outward = in_words(components[rows], xyz[rows], min_space_points)
        assert found.labels.tolist() == labels
        assert [found[i].tolist() for i in range(len(found))] == outward
        assert found.space_points.tolist() == found.space_points.tolist()


@given(events())
def test_an_event_alone_has_the_candidates_that_it_has_in_a_chunk(sample):
    components, xyz, splits = sample
    chunk = CandidateChunk.from_components(components, xyz, splits)

    for index, found in enumerate(chunk):
        rows = slice(splits[index], splits[index + 1])
        alone = TrackCandidates.from_components(components[rows], xyz[rows])
        assert alone.labels.tolist() == found.labels.tolist()
        assert alone.row_splits.tolist() == found.row_splits.tolist()
        assert alone.space_points.tolist() == found.space_points.tolist()


def test_points_that_differ_only_in_double_precision_are_in_order():
    far = np.float32(1000)
    xyz = np.array(
        [[far, 1e-3, 0], [far, 0, 0], [far, 2e-3, 0], [far, 0, 0]], dtype=np.float32
    )

    order = outward_order(np.zeros(4, dtype=np.int64), squared_distance(xyz))

    assert order.tolist() == [1, 3, 0, 2]


def test_an_event_that_is_not_there_is_an_error():
    splits = np.array([0, 1])
    chunk = CandidateChunk.from_components(np.array([0]), np.ones((1, 3)), splits)

    with pytest.raises(IndexError, match="no event 1 in a chunk of 1"):
        chunk[1]
