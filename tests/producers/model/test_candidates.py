"""Candidates of many events at once are those of each event, as written in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from producers import CandidateChunk, TrackCandidates
from producers.model.components import candidate_order, squared_distance

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
        assert [points.tolist() for points in found] == outward


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

    order = candidate_order(np.zeros(4, dtype=np.int64), squared_distance(xyz))

    assert order.tolist() == [1, 3, 0, 2]


@pytest.fixture
def chunk():
    """Two events: candidates (0, 2) and (1, 3); and one of two points, (0, 1)."""
    components = np.array([7, 9, 7, 9, -1, 4, 4])
    return CandidateChunk.from_components(
        components, np.ones((7, 3)), np.array([0, 5, 7])
    )


def test_candidates_are_a_sequence(chunk):
    tracks = chunk[0]

    assert [track.tolist() for track in tracks] == [[0, 2], [1, 3]]
    assert tracks[-1].tolist() == tracks[1].tolist() == [1, 3]
    assert [track.tolist() for track in tracks[::-1]] == [[1, 3], [0, 2]]
    assert repr(tracks) == "<TrackCandidates: 2 candidates with 4 of 5 space points>"
    with pytest.raises(IndexError, match="no candidate 2 among 2"):
        tracks[2]


def test_a_chunk_is_a_sequence_of_events(chunk):
    assert chunk[-1].labels.tolist() == [0, 0]
    assert [len(tracks) for tracks in chunk[:1]] == [2]
    assert repr(chunk) == "<CandidateChunk: 2 events, 3 candidates>"
    with pytest.raises(IndexError, match="no event 2 in a chunk of 2"):
        chunk[2]


def test_candidates_are_given_as_awkward_arrays(chunk):
    assert chunk.to_awkward().to_list() == [[[0, 2], [1, 3]], [[0, 1]]]
    assert chunk[0].to_awkward().to_list() == [[0, 2], [1, 3]]
    nothing = TrackCandidates.none_among(3).to_awkward()
    assert str(nothing.type) == "0 * var * int64"


@pytest.mark.parametrize(
    ("values", "separator", "expected"),
    [
        ([3, 1, -1, 0, 2], -1, [0, 1, 0, 1, -1]),
        ([3, 1, -1, 0, 2, -1], -1, [0, 1, 0, 1, -1]),
        ([-1, 4, -1, -1, 0], -1, [0, -1, -1, -1, 1]),
        ([3, 1, 0, 2, 4], 0, [-1, 0, 1, 0, 1]),
        ([], -1, [-1] * 5),
    ],
    ids=["between", "after the last", "several", "zero", "none"],
)
def test_separated_lists_become_candidates(values, separator, expected):
    found = TrackCandidates.from_separated(values, np.ones((5, 3)), separator=separator)

    assert found.labels.tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 5], "no space point 5 among 5"),
        ([0, 1, -1, 1], "space point 1 is on 2 candidates"),
        ([[0]], "expected values of shape"),
    ],
)
def test_lists_that_are_no_candidates_are_refused(values, expected):
    with pytest.raises(ValueError, match=expected):
        TrackCandidates.from_separated(values, np.ones((5, 3)))
