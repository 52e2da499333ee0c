import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.config import TrackBuildingConfig
from exatrkx_pipeline.tracks.track_building import (
    best_both_ways,
    build_tracks,
    components,
    number_by_first_appearance,
)
from exatrkx_pipeline.tracks.walkthrough import cc_and_walk

METHODS = ("components", "junction_removal", "cc_and_walk")


@st.composite
def scored_graphs(draw):
    """Edges with row > column, sorted, no duplicates, with distinct scores."""
    n = draw(st.integers(0, 12))
    pairs = [(i, j) for i in range(n) for j in range(i)]
    chosen = sorted(draw(st.sets(st.sampled_from(pairs)))) if pairs else []
    edge_index = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    seed = draw(st.integers(0, 2**16))
    scores = np.random.default_rng(seed).permutation(len(chosen)) + 1
    return edge_index, (scores / (len(chosen) + 1)).astype(np.float32), n


def building(method, score_cut=0.3):
    return TrackBuildingConfig(method=method, score_cut=score_cut)


@given(scored_graphs())
def test_components_join_the_ends_of_every_edge_and_nothing_else(graph):
    edge_index, _, n = graph

    labels = components(edge_index, n)

    reach = np.eye(n, dtype=bool)
    reach[tuple(edge_index)] = True
    reach |= reach.T
    for _ in range(n):
        reach = reach @ reach
    np.testing.assert_array_equal(labels[:, None] == labels[None], reach)


@pytest.mark.parametrize("method", METHODS)
@given(graph=scored_graphs())
def test_labels_are_as_many_as_points_and_numbered_as_they_appear(method, graph):
    labels = build_tracks(*graph, building(method))

    assert labels.shape == (graph[2],)
    first_seen = list(dict.fromkeys(labels.tolist()))
    assert first_seen == list(range(len(first_seen)))


@pytest.mark.parametrize("method", METHODS)
def test_a_score_equal_to_the_cut_is_not_above_it(method):
    edge_index = np.array([[1], [0]])

    labels = build_tracks(
        edge_index, np.array([0.5], dtype=np.float32), 2, building(method, 0.5)
    )

    assert labels.tolist() == [0, 1]


@given(scored_graphs())
def test_after_junction_removal_a_point_has_one_edge_each_way_at_most(graph):
    edge_index, scores, n = graph

    kept = edge_index[:, best_both_ways(edge_index, scores)]

    assert (np.bincount(kept[0], minlength=n) <= 1).all()
    assert (np.bincount(kept[1], minlength=n) <= 1).all()


def test_junction_removal_keeps_the_better_of_two_continuations():
    # 0 -> 1 -> 2, and 1 -> 3 with a better score than 1 -> 2.
    edge_index = np.array([[1, 2, 3], [0, 1, 1]])
    scores = np.array([0.9, 0.6, 0.8], dtype=np.float32)

    labels = build_tracks(edge_index, scores, 4, building("junction_removal"))

    assert labels.tolist() == [0, 0, 1, 0]


def allowed_paths(steps, point):
    """Every path that the walk may take from a point, listed one by one."""
    yield [point]
    out = steps.get(point, [])
    for score, following in out:
        if score > 0.6 or (score > 0.1 and score == max(out)[0]):
            for rest in allowed_paths(steps, following):
                yield [point, *rest]


@given(scored_graphs())
def test_walkthrough_finds_a_longest_allowed_path(graph):
    edge_index, scores, n = graph

    labels = cc_and_walk(
        edge_index, scores, components(edge_index, n), walk_min=0.1, walk_add=0.6
    )

    steps = {}
    for outer, inner, score in zip(*edge_index, scores, strict=True):
        steps.setdefault(inner, []).append((score, outer))
    branches = (np.bincount(edge_index.ravel(), minlength=n) > 2).any()
    if branches:  # else every component is a chain, and a track whatever its scores
        longest = max(
            len(path) for point in range(n) for path in allowed_paths(steps, point)
        )
        chains = np.bincount(number_by_first_appearance(components(edge_index, n)))
        assert longest <= np.bincount(number_by_first_appearance(labels)).max()
        assert np.bincount(number_by_first_appearance(labels)).max() <= chains.max()


@given(scored_graphs())
def test_walkthrough_only_splits_components(graph):
    edge_index, scores, n = graph
    component = components(edge_index, n)

    labels = cc_and_walk(edge_index, scores, component, walk_min=0.1, walk_add=0.6)

    for label in np.unique(labels):
        assert len(np.unique(component[labels == label])) == 1


def test_walkthrough_splits_two_tracks_that_share_a_bad_edge():
    # Two chains 0-2-4-6 and 1-3-5-7, joined by the poor edge 2 -> 5.
    edges = sorted([(2, 0), (4, 2), (6, 4), (3, 1), (5, 3), (7, 5), (5, 2)])
    scores = np.array([0.2 if e == (5, 2) else 0.9 for e in edges], dtype=np.float32)

    labels = build_tracks(np.array(edges).T, scores, 8, building("cc_and_walk", 0.01))

    assert labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]


def test_a_simple_chain_is_one_track_even_with_low_scores():
    edge_index = np.array([[1, 2, 3], [0, 1, 2]])
    scores = np.array([0.05, 0.05, 0.05], dtype=np.float32)

    labels = build_tracks(edge_index, scores, 5, building("cc_and_walk", 0.01))

    assert labels.tolist() == [0, 0, 0, 0, 1]


def test_a_walk_ends_where_even_the_best_edge_is_poor():
    # 0 -> 1, then 1 -> 2 and 1 -> 3, both below walk_min.
    edge_index = np.array([[1, 2, 3], [0, 1, 1]])
    scores = np.array([0.9, 0.05, 0.04], dtype=np.float32)

    labels = build_tracks(edge_index, scores, 4, building("cc_and_walk", 0.01))

    assert labels.tolist() == [0, 0, 1, 2]
