"""A tree over the principal axes of a point cloud, for pairs within a radius.

Points are sorted into leaves of 16, close together along all axes, and leaves are
compared with leaves: few are near, and each pair of points is looked at once.
Distances in float32 decide where they leave no doubt, float64 does elsewhere: the same
pairs as comparing all with all.

Nodes are numbered as in a heap: the root is 1, the children of node `i` are `2 i` and
`2 i + 1`. A node is a range of leaves, which its children share at `_middle`.
"""

# mypy: disable-error-code="no-untyped-def,call-arg,var-annotated"
# Compiled functions take their types from the call, instructions one argument less.

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.layout import LANES
from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.kernels.vectors import AXES, lowest_bit, near_lanes

DEPTH = 64
"""Nodes on a stack at most: one for each level, of which there are fewer."""

LEAF = LANES * AXES
"""Floats of a leaf."""

PAIRS_OF_LEAVES = LANES * LANES
"""Least capacity of a search."""

Place = tuple[int, int]
"""Where a search goes on: a leaf, and how many of the leaves near it are done."""


class Tree(NamedTuple):
    """Points sorted into leaves, and the box of each node."""

    order: NDArray[np.int64]  #: (n_points,), the point at each place
    leaves: NDArray[np.float32]
    """(n_leaves * LEAF,): axis by axis, lane by lane; NaN where there is no point."""

    node_of_leaf: NDArray[np.int64]  #: (n_leaves,)
    low: NDArray[np.float32]  #: (n_nodes, AXES), lowest coordinates of the boxes
    high: NDArray[np.float32]  #: (n_nodes, AXES), highest coordinates


class Within(NamedTuple):
    """The data that decide whether two points are within the radius."""

    points: NDArray[np.float64]  #: (n_points, dim), as given
    radius: float
    near: np.float32  #: squared distance up to which they may be
    sure: np.float32  #: squared distance up to which they are, whatever was rounded


@dataclass(frozen=True, slots=True)
class NeighbourTree:
    """Points in leaves, ready for `search`; safe for several threads."""

    tree: Tree
    within: Within

    @classmethod
    def of(cls, points: NDArray[np.float64], radius: float) -> Self:
        """Sort points, shape (n, dim) with n > 0, into leaves."""
        rows, is_whole = _principal(points)
        n_leaves = -(-len(points) // LANES)
        n_nodes = 2 << (n_leaves - 1).bit_length()
        tree = Tree(
            np.arange(len(points)),
            np.empty(n_leaves * LEAF, np.float32),
            np.empty(n_leaves, np.int64),
            np.empty((n_nodes, AXES), np.float32),
            np.empty((n_nodes, AXES), np.float32),
        )
        # Coordinates are off by half a unit in the last place each, a squared distance
        # by some more of its own.
        rounding = 8 * float(np.finfo(np.float32).eps) * float(np.abs(rows).max())
        _sort_into_leaves(rows, tree)
        surely = max(radius * (1 - 1e-5) - rounding, 0.0)
        with np.errstate(over="ignore"):
            near = np.float32((radius * (1 + 1e-5) + rounding) ** 2)
            sure = np.float32(surely**2 if is_whole and surely > 0.0 else -1.0)
        return cls(tree, Within(points, radius, near, sure))

    @property
    def n_leaves(self) -> int:
        """Leaves of the tree; a search ends there."""
        return len(self.tree.node_of_leaf)

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
        leaf, n_done, n_edges = _pairs_within(
            begin, last_leaf, self.tree, self.within, edges
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


@compiled
def _sort_into_leaves(rows, tree):
    """Sort points, halving them along the longest side of their box.

    Parameters
    ----------
    rows : ndarray, shape (n_points, AXES), float32
        Sorted in place.
    tree : Tree
        `order` is sorted, the others are written.
    """
    n_leaves = len(tree.node_of_leaf)
    stack = np.empty((DEPTH, 3), np.int64)
    _push(stack, 0, 1, 0, n_leaves)
    n_waiting = 1
    while n_waiting:
        n_waiting -= 1
        node, first, last = stack[n_waiting]
        begin, end = first * LANES, min(last * LANES, len(rows))
        _bound(rows, begin, end, tree.low[node], tree.high[node])
        if last - first == 1:
            tree.node_of_leaf[first] = node
            for k in range(AXES):
                for lane in range(LANES):
                    tree.leaves[first * LEAF + k * LANES + lane] = (
                        rows[begin + lane, k] if begin + lane < end else np.nan
                    )
            continue
        axis = _longest_side(tree.low[node], tree.high[node])
        middle = _middle(first, last)
        _halve(rows, tree.order, (begin, end), middle * LANES, axis)
        _push(stack, n_waiting, 2 * node, first, middle)
        _push(stack, n_waiting + 1, 2 * node + 1, middle, last)
        n_waiting += 2


@compiled
def _pairs_within(place, last_leaf, tree, within, edges):
    """Write the pairs of leaves from a place on with leaves up to themselves.

    Parameters
    ----------
    place : Place
    last_leaf : int
        Leaf to end before.
    tree : Tree
    within : Within
    edges : ndarray, shape (2, capacity), int64
        Written.

    Returns
    -------
    leaf, n_done : int
        The place to go on with.
    n_edges : int
        Number of pairs.
    """
    leaf, n_skipped = place
    stack = np.empty((DEPTH, 3), np.int64)
    near_leaves = np.empty(len(tree.node_of_leaf), np.int64)
    n_edges = 0
    while leaf < last_leaf:
        n_near = _leaves_near(leaf, tree, within.near, stack, near_leaves)
        for k in range(n_skipped, n_near):
            if n_edges + LANES * LANES > edges.shape[1]:
                return leaf, k, n_edges
            n_edges = _pairs_of_leaves(
                leaf, near_leaves[k], tree, within, edges, n_edges
            )
        n_skipped = 0
        leaf += 1
    return leaf, 0, n_edges


@compiled
def _push(stack, place, node, first, last):
    """Write a node and its leaves; assigning a whole row would compile slowly."""
    stack[place, 0], stack[place, 1], stack[place, 2] = node, first, last


@compiled
def _middle(first, last):
    return (first + last + 1) // 2


@compiled
def _bound(rows, begin, end, low, high):
    """The box of rows `begin` to `end`, to `low` and `high`, shape (AXES,)."""
    for k in range(AXES):  # assigning whole rows takes numba long to compile
        low[k] = high[k] = rows[begin, k]
    for i in range(begin + 1, end):
        for k in range(AXES):
            value = rows[i, k]
            low[k] = value if value < low[k] else low[k]
            high[k] = value if value > high[k] else high[k]


@compiled
def _longest_side(low, high):
    axis = 0
    for k in range(1, AXES):
        if high[k] - low[k] > high[axis] - low[axis]:
            axis = k
    return axis


@compiled
def _halve(rows, order, part, middle, axis):
    """Sort a range of rows so that none before `middle` is above the others on an axis.

    Hoare's selection; equal values are shared out among both sides.
    """
    begin, end = part
    last = end - 1
    while begin < last:
        a, b, c = rows[begin, axis], rows[(begin + last) // 2, axis], rows[last, axis]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = begin, last
        while i <= j:
            while rows[i, axis] < pivot:
                i += 1
            while rows[j, axis] > pivot:
                j -= 1
            if i <= j:
                for k in range(AXES):
                    rows[i, k], rows[j, k] = rows[j, k], rows[i, k]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            last = j
        elif middle >= i:
            begin = i
        else:
            return


@compiled
def _leaves_near(leaf, tree, near, stack, found):
    """Write the leaves up to this one whose box is near its own; their number."""
    low, high = tree.low, tree.high
    own_node = tree.node_of_leaf[leaf]
    own_low, own_high = low[own_node], high[own_node]
    n_found, n_waiting = 0, 1
    _push(stack, 0, 1, 0, len(tree.node_of_leaf))
    while n_waiting:
        n_waiting -= 1
        node, first, last = stack[n_waiting]
        if first > leaf:
            continue
        squared = np.float32(0.0)
        for k in range(AXES):
            gap = max(low[node, k] - own_high[k], own_low[k] - high[node, k])
            gap = max(gap, np.float32(0.0))
            squared += gap * gap
        if squared > near:
            continue
        if last - first == 1:
            found[n_found] = first
            n_found += 1
            continue
        middle = _middle(first, last)
        _push(stack, n_waiting, 2 * node, first, middle)
        _push(stack, n_waiting + 1, 2 * node + 1, middle, last)
        n_waiting += 2
    return n_found


@compiled
def _pairs_of_leaves(a, b, tree, within, edges, n_edges):  # noqa: PLR0917
    """Append the pairs of leaf `a` with leaf `b` to `edges`; their new number."""
    n_points = len(tree.order)
    every = (1 << min(LANES, n_points - LANES * b)) - 1
    for lane in range(min(LANES, n_points - LANES * a)):
        bits = near_lanes(
            tree.leaves, b * LEAF, a * LEAF + lane, within.near, within.sure
        )
        candidates = bits & every
        if a == b:  # a pair once, and no point with itself
            candidates &= ~((2 << lane) - 1)
        i = tree.order[LANES * a + lane]
        while candidates:
            k = lowest_bit(candidates)
            candidates &= candidates - 1
            j = tree.order[LANES * b + k]
            edges[0, n_edges], edges[1, n_edges] = max(i, j), min(i, j)
            # What is not sure in float32 is overwritten unless float64 says yes.
            n_edges += (bits >> (LANES + k)) & 1 or _is_within(within, i, j)
    return n_edges


@compiled
def _is_within(within, i, j):
    points, total = within.points, 0.0
    for k in range(points.shape[1]):
        total += (points[i, k] - points[j, k]) ** 2
    return total <= within.radius * within.radius
