"""Fixed-radius neighbours: all pairs of points within a radius, in pieces.

There is no limit on the number of neighbours: the original keeps the first 500 that it
finds, which makes the result depend on the order of the points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline.graph.neighbour_tree import PAIRS_OF_LEAVES, NeighbourTree, Place
from exatrkx_pipeline.kernels.edge_loops import grouped
from exatrkx_pipeline.kernels.threads import run_over

EDGES_PER_CHUNK = 1 << 18
"""Edges of a piece: 4 MB."""

LEAVES_PER_TURN = 256
"""Leaves that a thread searches at a time: 4,096 points, milliseconds of work."""


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
    none = np.empty((2, 0), dtype=np.int64)
    edges = np.concatenate([none, *radius_graph_chunks(embedded, r_val)], axis=1)
    return sorted_edges(edges, len(embedded))


def radius_graph_chunks(
    embedded: NDArray[np.float32], r_val: float
) -> Iterator[NDArray[np.int64]]:
    """The edges of `radius_graph` in pieces, of nearby points each, in another order.

    Memory is bounded: a piece has at most `EDGES_PER_CHUNK` edges, and one piece is
    held for each of torch's threads, all of which search. The order of the edges
    depends on the number of threads, the edges do not.

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
    tree = NeighbourTree.of(points, r_val)
    capacity = max(min(EDGES_PER_CHUNK, len(points) ** 2), PAIRS_OF_LEAVES)
    cuts = [*range(0, tree.n_leaves, LEAVES_PER_TURN), tree.n_leaves]
    parts = deque(((first, 0), last) for first, last in pairwise(cuts))
    while parts:
        turns = [
            parts.popleft() for _ in range(min(torch.get_num_threads(), len(parts)))
        ]
        found = _search_all(tree, turns, capacity)
        for (_, last_leaf), (end, _) in zip(
            reversed(turns), reversed(found), strict=True
        ):
            if end[0] < last_leaf:
                parts.appendleft((end, last_leaf))
        yield from (edges for _, edges in found)


def sorted_edges(edge_index: NDArray[np.int64], n_points: int) -> NDArray[np.int64]:
    """The edges sorted by row, then column, in a time linear in edges and points."""
    by_column = grouped(edge_index[1], n_points)[1]
    order = grouped(edge_index[0][by_column], n_points)[1]
    return edge_index[:, by_column[order]]


def _search_all(
    tree: NeighbourTree, turns: Sequence[tuple[Place, int]], capacity: int
) -> list[tuple[Place, NDArray[np.int64]]]:
    """Search from each place to the leaf beside it, in a thread each."""
    found: dict[int, tuple[Place, NDArray[np.int64]]] = {}

    def search(turn: int, _: int) -> None:
        found[turn] = tree.search(*turns[turn], capacity)

    run_over([(turn, turn + 1) for turn in range(len(turns))], search)
    return [found[turn] for turn in range(len(turns))]
