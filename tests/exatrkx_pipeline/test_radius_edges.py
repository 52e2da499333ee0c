import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.graph.neighbours import radius_graph, sorted_edges
from exatrkx_pipeline.graph.radius_edges import brute_force_chunks, radius_edge_chunks


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


def test_memory_of_a_piece_is_bounded():
    embedded = torch.zeros((400, 8))

    chunks = list(brute_force_chunks(embedded, 1.0, pairs_per_chunk=2_500))

    assert sum(chunk.shape[1] for chunk in chunks) == 400 * 399 // 2
    assert max(chunk.shape[1] for chunk in chunks) <= 2_500


def test_coordinate_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        list(brute_force_chunks(torch.tensor([[0.0], [torch.nan]]), 1.0))


def test_edges_on_the_cpu_are_those_of_the_tree():
    embedded = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)

    found = joined(radius_edge_chunks(torch.from_numpy(embedded), 2.0))

    np.testing.assert_array_equal(sorted_edges(found, 300), radius_graph(embedded, 2.0))
