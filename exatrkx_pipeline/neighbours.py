"""Fixed-radius neighbours: all pairs of points closer than a radius, in chunks.

No limit on the number of neighbours: the original keeps the first 500 it meets, which
makes the result depend on the order of the points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

LEAF_SIZE = 16
POINTS_PER_CHUNK = 8_192
"""Points searched at once; with some tens of neighbours each, a few MB of edges."""


def radius_graph(embedded: NDArray[np.float32], r_val: float) -> NDArray[np.int64]:
    """All pairs with a Euclidean distance <= `r_val`, one edge per pair.

    Parameters
    ----------
    embedded : ndarray, shape (n_space_points, dim), float32
        Coordinates; zero points give zero edges.
    r_val : float
        Radius, in the same units.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
        ``edge_index`` with row > column and no self loops, sorted by row, then column.
    """
    chunks = list(radius_graph_chunks(embedded, r_val))
    if not chunks:
        return np.empty((2, 0), dtype=np.int64)
    return np.concatenate(chunks, axis=1)


def radius_graph_chunks(
    embedded: NDArray[np.float32], r_val: float
) -> Iterator[NDArray[np.int64]]:
    """The edges of `radius_graph` in pieces, each sorted, rows ascending over pieces.

    Memory is bounded by the densest chunk, not by the whole graph.

    Raises
    ------
    ValueError
        If a coordinate is not finite.
    """
    points = np.ascontiguousarray(embedded, dtype=np.float64)
    if not np.isfinite(points).all():
        raise ValueError("embedded space points must be finite")
    if not len(points):
        return
    tree = cKDTree(points, leafsize=LEAF_SIZE)
    if len(points) <= POINTS_PER_CHUNK:
        pairs = tree.query_pairs(r_val, output_type="ndarray")
        yield _sorted_edges(pairs[:, 1], pairs[:, 0])
        return
    for start in range(0, len(points), POINTS_PER_CHUNK):
        rows = points[start : start + POINTS_PER_CHUNK]
        near = cKDTree(rows, leafsize=LEAF_SIZE).sparse_distance_matrix(
            tree, r_val, output_type="ndarray"
        )
        row, col = near["i"] + start, near["j"]
        outward = row > col  # the tree holds all points: every pair is met twice
        yield _sorted_edges(row[outward], col[outward])


def _sorted_edges(row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.lexsort((col, row))
    return np.stack((row[order], col[order])).astype(np.int64, copy=False)
