"""Fixed-radius neighbours: all pairs of points closer than a radius, in chunks.

No limit on the number of neighbours: the original keeps the first 500 it meets, which
makes the result depend on the order of the points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.neighbour_grid import NeighbourGrid

EDGES_PER_CHUNK = 1 << 18
"""Edges of a piece: 4 MB. A point's edges stay together, however many there are."""


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

    Memory is bounded: a piece has at most `EDGES_PER_CHUNK` edges, or as many as there
    are points.

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
    grid = NeighbourGrid.of(points, r_val)
    row, capacity = 0, max(EDGES_PER_CHUNK, len(points))
    while row < len(points):
        row, edges = grid.search(row, capacity)
        yield edges
