"""The graph: all pairs within the radius, by the tree and by brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from exatrkx_pipeline.graph import neighbours
from exatrkx_pipeline.graph.compact_graph import CompactGraph
from exatrkx_pipeline.graph.graph_construction import (
    brute_force_chunks,
    radius_edge_chunks,
)
from exatrkx_pipeline.graph.neighbours import (
    radius_graph,
    radius_graph_chunks,
    sorted_edges,
)


def brute_force(points, r_val):
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    row, col = np.nonzero(np.tril(distance <= r_val, k=-1))
    return np.stack((row, col))


@given(st.integers(0, 60), st.integers(0, 2**16), st.floats(0.05, 3.0))
def test_edges_are_all_pairs_within_the_radius(n_points, seed, r_val):
    # Coordinates on a coarse grid: ties, duplicates and distances equal to the radius.
    points = np.random.default_rng(seed).integers(0, 4, (n_points, 3)) / 2.0

    edges = radius_graph(points.astype(np.float32), r_val)

    np.testing.assert_array_equal(edges, brute_force(points, r_val))


def test_chunks_join_to_the_same_graph(monkeypatch):
    points = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    whole = radius_graph(points, 2.0)

    monkeypatch.setattr(neighbours, "EDGES_PER_CHUNK", 300)
    chunks = list(radius_graph_chunks(points, 2.0))

    assert len(chunks) > 1
    assert max(chunk.shape[1] for chunk in chunks) <= 300
    joined = np.concatenate(chunks, axis=1)
    np.testing.assert_array_equal(sorted_edges(joined, 300), whole)


@pytest.mark.parametrize(
    ("n_points", "dim", "scale", "offset"),
    [
        (3_000, 8, 1.0, 0.0),
        (2_000, 1, 100.0, 0.0),
        (2_000, 2, 5.0, 0.0),
        (1_000, 12, 0.7, 0.0),
        (1_000, 8, 1.0, 1e4),  # where float32 coordinates are coarse
        (1_000, 3, 1e5, 0.0),  # far more cells than there are
    ],
)
def test_edges_are_those_of_a_tree(n_points, dim, scale, offset):
    rng = np.random.default_rng(7)
    points = (scale * rng.normal(size=(n_points, dim)) + offset).astype(np.float32)
    points[: n_points // 4] = points[-1] + 0.3 * rng.normal(size=(n_points // 4, dim))

    edges = radius_graph(points, 1.0)

    pairs = cKDTree(points.astype(np.float64)).query_pairs(1.0, output_type="ndarray")
    expected = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].T[::-1]
    assert edges.size
    np.testing.assert_array_equal(edges, expected)


def test_ten_million_edges_of_equal_points_come_in_pieces():
    chunks = radius_graph_chunks(np.ones((4_500, 8), dtype=np.float32), 1.0)

    sizes = [chunk.shape[1] for chunk in chunks]

    assert sum(sizes) == 4_500 * 4_499 // 2 > 10_000_000
    assert max(sizes) <= neighbours.EDGES_PER_CHUNK


def test_more_neighbours_than_the_original_allows_are_all_kept():
    edges = radius_graph(np.zeros((600, 8), dtype=np.float32), 1.0)

    assert edges.shape == (2, 600 * 599 // 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_coordinate_that_is_not_finite_is_refused(bad):
    points = np.zeros((3, 8), dtype=np.float32)
    points[1, 2] = bad

    with pytest.raises(ValueError, match="finite"):
        radius_graph(points, 1.0)


def joined(chunks):
    return torch.cat([torch.empty((2, 0), dtype=torch.int64), *chunks], dim=1).numpy()


@given(st.integers(0, 60), st.integers(0, 2**16), st.integers(1, 500))
def test_brute_force_finds_the_edges_of_the_tree_in_pieces_of_any_size(
    n_points, seed, pairs_per_chunk
):
    # Coordinates on a coarse grid: many distances are the radius exactly.
    points = np.random.default_rng(seed).integers(0, 4, (n_points, 3)) / 2.0
    embedded = points.astype(np.float32)

    found = joined(brute_force_chunks(torch.from_numpy(embedded), 0.5, pairs_per_chunk))

    np.testing.assert_array_equal(found, radius_graph(embedded, 0.5))


def test_memory_of_a_piece_of_brute_force_is_bounded():
    embedded = torch.zeros((400, 8))

    chunks = list(brute_force_chunks(embedded, 1.0, pairs_per_chunk=2_500))

    assert sum(chunk.shape[1] for chunk in chunks) == 400 * 399 // 2
    assert max(chunk.shape[1] for chunk in chunks) <= 2_500


def test_brute_force_refuses_a_coordinate_that_is_not_finite():
    with pytest.raises(ValueError, match="finite"):
        list(brute_force_chunks(torch.tensor([[0.0], [torch.nan]]), 1.0))


def test_edges_on_the_cpu_are_those_of_the_tree():
    embedded = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)

    found = joined(radius_edge_chunks(torch.from_numpy(embedded), 2.0))

    np.testing.assert_array_equal(sorted_edges(found, 300), radius_graph(embedded, 2.0))


def test_compact_graph_has_the_same_edges_between_the_points_that_have_any():
    rng = np.random.default_rng(0)
    ends = torch.from_numpy(
        np.sort(rng.integers(0, 500, (2, 200)), axis=0)[::-1].copy()
    )
    phi = torch.from_numpy(rng.uniform(size=500))

    graph = CompactGraph.of(ends, phi)

    assert torch.equal(graph.nodes[graph.edge_index], ends[:, graph.order])
    assert torch.equal(graph.nodes.sort().values, torch.unique(ends))
    assert (phi[graph.nodes].diff() >= 0).all()
    assert (graph.edge_index[0].diff() >= 0).all()
    places = torch.arange(200)
    assert torch.equal(graph.as_given(places[graph.order]), places)
