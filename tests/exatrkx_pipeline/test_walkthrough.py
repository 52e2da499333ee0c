"""The compiled walkthrough against the plain one: every path looked for anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.tracks.track_building import (
    components,
    number_by_first_appearance,
)
from exatrkx_pipeline.tracks.walkthrough import cc_and_walk


def plain_cc_and_walk(edge_index, scores, component, *, walk_min, walk_add):
    """As acorn does it: the longest path of each component, then of what is left."""
    n_points = len(component)
    row, col = edge_index
    degree_out = np.bincount(col, minlength=n_points)
    degree_in = np.bincount(row, minlength=n_points)
    branching = set(component[(degree_out > 1) | (degree_in > 1)].tolist())
    labels = component.copy()
    for number in branching:
        own = np.flatnonzero(component == number)
        labels[own] = n_points + own
        edges = component[col] == number
        for path in longest_paths(
            row[edges], col[edges], scores[edges], walk_min, walk_add
        ):
            labels[path] = labels[path[0]]
    return labels


def longest_paths(row, col, scores, walk_min, walk_add):
    steps = {}
    for outer, inner, score in zip(
        row.tolist(), col.tolist(), scores.tolist(), strict=True
    ):
        steps.setdefault(inner, []).append((score, outer))
        steps.setdefault(outer, [])
    free = sorted(steps)
    while free:
        path = longest_path(free, steps, walk_min, walk_add)
        if len(path) == 1:
            return
        yield path
        free = [point for point in free if point not in path]
        for point in free:
            steps[point] = [step for step in steps[point] if step[1] not in path]


def longest_path(free, steps, walk_min, walk_add):
    length, following = {}, {}
    for point in reversed(free):
        length[point] = (1, 0.0)
        best = max(steps[point], default=None)
        for score, outer in steps[point]:
            if score > walk_add or ((score, outer) == best and score > walk_min):
                n_points, total = length[outer]
                if (n_points + 1, total + score) > length[point]:
                    length[point] = (n_points + 1, total + score)
                    following[point] = outer
    path = [max(free, key=length.__getitem__)]
    while path[-1] in following:
        path.append(following[path[-1]])
    return path


def graph(n_points, n_edges, n_scores, seed):
    """Random edges with row > column; few different scores make many ties."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, n_points, (2, n_edges))
    ends = np.sort(ends[:, ends[0] != ends[1]], axis=0)[::-1]
    edge_index = np.unique(ends, axis=1)
    scores = rng.integers(0, n_scores + 1, edge_index.shape[1]) / n_scores
    return edge_index, scores.astype(np.float32), components(edge_index, n_points)


@given(st.integers(2, 25), st.integers(0, 50), st.integers(1, 20), st.integers(0, 999))
def test_labels_are_those_of_the_plain_walkthrough(n_points, n_edges, n_scores, seed):
    event = graph(n_points, n_edges, n_scores, seed)

    labels = cc_and_walk(*event, walk_min=0.1, walk_add=0.6)

    expected = plain_cc_and_walk(*event, walk_min=0.1, walk_add=0.6)
    np.testing.assert_array_equal(
        number_by_first_appearance(labels), number_by_first_appearance(expected)
    )


@pytest.mark.parametrize(("walk_min", "walk_add"), [(0.0, 0.3), (0.5, 0.5), (0.9, 0.0)])
def test_a_tangle_of_tracks_is_walked_as_by_the_plain_one(walk_min, walk_add):
    event = graph(400, 700, 1_000, 3)

    labels = cc_and_walk(*event, walk_min=walk_min, walk_add=walk_add)

    expected = plain_cc_and_walk(*event, walk_min=walk_min, walk_add=walk_add)
    np.testing.assert_array_equal(
        number_by_first_appearance(labels), number_by_first_appearance(expected)
    )


def test_one_giant_component_of_a_whole_event_is_walked_in_no_time():
    # Looking for every path anew would take hours: 10,000 paths, 200,000 edges each.
    event = graph(100_000, 200_000, 10_000, 1)
    assert np.bincount(event[2]).max() > 90_000

    labels = cc_and_walk(*event, walk_min=0.1, walk_add=0.6)

    assert labels.shape == (100_000,)
    sizes = np.bincount(number_by_first_appearance(labels))
    assert sizes.max() > 3
