"""A tree over the principal axes of a point cloud, for pairs within a radius.

Points are sorted into leaves of 16, close together along all axes, and leaves are
compared with leaves: few are near, and each pair of points is looked at once.
Distances in float32 decide where they leave no doubt, float64 does elsewhere: the same
pairs as comparing all with all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.graph.near_lanes import AXES, LANES
from exatrkx_pipeline.graph.neighbour_loops import LEAF, pairs_within, sort_into_leaves

PAIRS_OF_LEAVES = LANES * LANES
"""Least capacity of a search."""

Place = tuple[int, int]
"""Where a search goes on: a leaf, and how many of the leaves near it are done."""


@dataclass(frozen=True, slots=True)
class NeighbourTree:
    """Points in leaves, ready for `search`; safe for several threads."""

    points: NDArray[np.float64]  #: (n, dim), as given
    radius: float
    index: NDArray[np.int64]  #: (n,), the point at each place
    leaves: NDArray[np.float32]  #: (n_leaves * LEAF,): axis by axis, lane by lane
    node_of_leaf: NDArray[np.int64]  #: (n_leaves,)
    low: NDArray[np.float32]  #: (n_nodes, AXES), boxes' lowest coordinates
    high: NDArray[np.float32]  #: (n_nodes, AXES), and their highest
    near: np.float32  #: squared distance that may be within the radius
    sure: np.float32  #: squared distance that is, whatever was rounded

    @classmethod
    def of(cls, points: NDArray[np.float64], radius: float) -> Self:
        """Sort points, shape (n, dim) with n > 0, into leaves."""
        rows, is_whole = _principal(points)
        n_leaves = -(-len(points) // LANES)
        n_nodes = 2 << (n_leaves - 1).bit_length()
        index = np.arange(len(points))
        low = np.empty((n_nodes, AXES), np.float32)
        high = np.empty_like(low)
        leaves = np.empty(n_leaves * LEAF, np.float32)
        node_of_leaf = np.empty(n_leaves, np.int64)
        # Coordinates are off by half a unit in the last place each, a squared distance
        # by some more of its own.
        rounding = 8 * float(np.finfo(np.float32).eps) * float(np.abs(rows).max())
        sort_into_leaves(rows, index, low, high, leaves, node_of_leaf)
        surely = max(radius * (1 - 1e-5) - rounding, 0.0)
        with np.errstate(over="ignore"):
            near = np.float32((radius * (1 + 1e-5) + rounding) ** 2)
            sure = np.float32(surely**2 if is_whole and surely > 0.0 else -1.0)
        return cls(points, radius, index, leaves, node_of_leaf, low, high, near, sure)

    @property
    def n_leaves(self) -> int:
        """Leaves of the tree; a search ends there."""
        return len(self.node_of_leaf)

    def search(
        self, begin: Place, last_leaf: int, capacity: int
    ) -> tuple[Place, NDArray[np.int64]]:
        """Pairs of points of leaves from a place on with those of the leaves before.

        Parameters
        ----------
        begin : Place
            ``(0, 0)``, or where another search has ended.
        last_leaf : int
            Leaf to end before.
        capacity : int
            Most pairs, at least `PAIRS_OF_LEAVES`.

        Returns
        -------
        end : Place
            ``(last_leaf, 0)`` if that was all.
        edges : ndarray, shape (2, n_edges), int64
            Row > column, in no particular order.
        """
        edges = np.empty((2, capacity), dtype=np.int64)
        leaf, n_done, n_edges = pairs_within(
            *begin,
            last_leaf,
            self.leaves,
            self.index,
            self.node_of_leaf,
            self.low,
            self.high,
            self.near,
            self.sure,
            self.points,
            self.radius,
            edges,
        )
        return (leaf, n_done), edges[:, :n_edges].copy()


def _principal(points: NDArray[np.float64]) -> tuple[NDArray[np.float32], bool]:
    """Coordinates along the widest axes, shape (n, AXES), and whether these are all."""
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # widest last
    n_axes = min(AXES, points.shape[1])
    rows = np.zeros((len(points), AXES), dtype=np.float32)
    rows[:, :n_axes] = centred @ axes[:, ::-1][:, :n_axes]
    return rows, points.shape[1] <= AXES
