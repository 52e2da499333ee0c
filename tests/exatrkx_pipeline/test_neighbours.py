import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline import neighbours
from exatrkx_pipeline.neighbours import radius_graph, radius_graph_chunks


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

    monkeypatch.setattr(neighbours, "POINTS_PER_CHUNK", 64)
    chunks = list(radius_graph_chunks(points, 2.0))

    assert len(chunks) == 5
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)


def test_more_neighbours_than_the_original_allows_are_all_kept():
    edges = radius_graph(np.zeros((600, 8), dtype=np.float32), 1.0)

    assert edges.shape == (2, 600 * 599 // 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_coordinate_that_is_not_finite_is_refused(bad):
    points = np.zeros((3, 8), dtype=np.float32)
    points[1, 2] = bad

    with pytest.raises(ValueError, match="finite"):
        radius_graph(points, 1.0)
