"""Fixed-radius neighbours: all pairs of points closer than a radius, in pieces.

No limit on the number of neighbours: the original keeps the first 500 it meets, which
makes the result depend on the order of the points.
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
from exatrkx_pipeline.kernels.edge_ranges import run_over

EDGES_PER_CHUNK = 1 << 18
"""Edges of a piece: 4 MB."""

LEAVES_PER_TURN = 256
"""Leaves that a thread is given at a time: 4,096 points, milliseconds of work."""


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

    Memory is bounded: a piece has at most `EDGES_PER_CHUNK` edges, and at most as many
    pieces are held as torch has threads; so many search. The order of the edges depends
    on that number, the edges do not.

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
        n_turns = min(torch.get_num_threads(), len(parts))
        turns = [_Turn(tree, *parts.popleft(), capacity) for _ in range(n_turns)]
        _search_all(turns)
        parts.extendleft((t.end, t.last_leaf) for t in reversed(turns) if not t.is_done)
        yield from (turn.edges for turn in turns)


def sorted_edges(edge_index: NDArray[np.int64], n_points: int) -> NDArray[np.int64]:
    """The edges by row, then by column, in a time linear in edges and points."""
    by_column = grouped(edge_index[1], n_points)[1]
    order = grouped(edge_index[0][by_column], n_points)[1]
    return edge_index[:, by_column[order]]


class _Turn:
    """What a thread searches at a time: leaves from a place on, for one piece."""

    def __init__(
        self, tree: NeighbourTree, begin: Place, last_leaf: int, capacity: int
    ) -> None:
        self._tree, self._capacity = tree, capacity
        self.end, self.last_leaf = begin, last_leaf
        self.edges: NDArray[np.int64]

    def search(self) -> None:
        self.end, self.edges = self._tree.search(
            self.end, self.last_leaf, self._capacity
        )

    @property
    def is_done(self) -> bool:
        return self.end[0] == self.last_leaf


def _search_all(turns: Sequence[_Turn]) -> None:
    run_over([(k, k + 1) for k in range(len(turns))], lambda k, _: turns[k].search())
