"""Compiled loops of the neighbour search: a tree of leaves of 16 points, and its walk.

Nodes are numbered as in a heap: the root is 1, the halves of node `i` are `2 i` and
`2 i + 1`. A node is a range of leaves, its halves meet at `_middle`.
"""

# mypy: disable-error-code="no-untyped-def,call-arg,var-annotated"
# Compiled functions take their types from the call, intrinsics one argument less.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.graph.near_lanes import AXES, LANES, lowest_bit, near_lanes
from exatrkx_pipeline.kernels.machine_code import compiled

DEPTH = 64
"""Nodes that wait at once: one for each level, of which there are fewer."""

LEAF = LANES * AXES
"""Floats of a leaf."""


@compiled
def sort_into_leaves(rows, index, low, high, leaves, node_of_leaf):  # noqa: PLR0917
    """Sort points, shape (n, AXES), halving them along the longest side of their box.

    Also sorts `index`, and writes the box of each node, the leaves' coordinates (NaN
    where the last one has no point), and the node of each leaf.
    """
    n_leaves = len(node_of_leaf)
    waiting = np.empty((DEPTH, 3), np.int64)
    waiting[0] = (1, 0, n_leaves)
    n_waiting = 1
    while n_waiting:
        n_waiting -= 1
        node, first, last = waiting[n_waiting]
        begin, end = first * LANES, min(last * LANES, len(rows))
        _bound(rows, begin, end, low[node], high[node])
        if last - first == 1:
            node_of_leaf[first] = node
            for k in range(AXES):
                for lane in range(LANES):
                    leaves[first * LEAF + k * LANES + lane] = (
                        rows[begin + lane, k] if begin + lane < end else np.nan
                    )
            continue
        axis = np.argmax(high[node] - low[node])
        middle = _middle(first, last)
        _halve(rows, index, begin, end, middle * LANES, axis)
        waiting[n_waiting] = (2 * node, first, middle)
        waiting[n_waiting + 1] = (2 * node + 1, middle, last)
        n_waiting += 2


@compiled
def pairs_within(  # noqa: PLR0917
    leaf,
    n_skipped,
    last_leaf,
    leaves,
    index,
    node_of_leaf,
    low,
    high,
    near,
    sure,
    points,
    radius,
    edges,
):
    """Write the pairs of leaves from `leaf` on with leaves up to themselves.

    Returns the leaf to go on with, how many of its near leaves are done, and how many
    pairs there are.
    """
    waiting = np.empty((DEPTH, 3), np.int64)
    near_leaves = np.empty(len(node_of_leaf), np.int64)
    n_edges = 0
    while leaf < last_leaf:
        n_near = _leaves_near(leaf, node_of_leaf, low, high, near, waiting, near_leaves)
        for k in range(n_skipped, n_near):
            if n_edges + LANES * LANES > edges.shape[1]:
                return leaf, k, n_edges
            n_edges = _pairs_of_leaves(
                leaf,
                near_leaves[k],
                leaves,
                index,
                near,
                sure,
                points,
                radius,
                edges,
                n_edges,
            )
        n_skipped = 0
        leaf += 1
    return leaf, 0, n_edges


@compiled
def _middle(first, last):
    return (first + last + 1) // 2


@compiled
def _bound(rows, begin, end, low, high):
    """The box of rows."""
    low[:] = rows[begin]
    high[:] = rows[begin]
    for i in range(begin + 1, end):
        for k in range(AXES):
            value = rows[i, k]
            low[k] = value if value < low[k] else low[k]
            high[k] = value if value > high[k] else high[k]


@compiled
def _halve(rows, index, begin, end, middle, axis):  # noqa: PLR0917
    """Sort rows so that those before `middle` are not above the others on an axis.

    Hoare's selection; equal values are shared out among both sides.
    """
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
                index[i], index[j] = index[j], index[i]
                i += 1
                j -= 1
        if middle <= j:
            last = j
        elif middle >= i:
            begin = i
        else:
            return


@compiled
def _leaves_near(leaf, node_of_leaf, low, high, near, waiting, found):  # noqa: PLR0917
    """Leaves up to this one whose box is near its own; their number."""
    own_low, own_high = low[node_of_leaf[leaf]], high[node_of_leaf[leaf]]
    n_found, n_waiting = 0, 1
    waiting[0] = (1, 0, len(node_of_leaf))
    while n_waiting:
        n_waiting -= 1
        node, first, last = waiting[n_waiting]
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
        waiting[n_waiting] = (2 * node, first, middle)
        waiting[n_waiting + 1] = (2 * node + 1, middle, last)
        n_waiting += 2
    return n_found


@compiled
def _pairs_of_leaves(  # noqa: PLR0917
    a, b, leaves, index, near, sure, points, radius, edges, n_edges
):
    n_points = len(index)
    every = (1 << min(LANES, n_points - LANES * b)) - 1
    for lane in range(min(LANES, n_points - LANES * a)):
        bits = near_lanes(leaves, b * LEAF, a * LEAF + lane, near, sure)
        within = bits & every
        if a == b:  # a pair once, and no point with itself
            within &= ~((2 << lane) - 1)
        i = index[LANES * a + lane]
        while within:
            k = lowest_bit(within)
            within &= within - 1
            j = index[LANES * b + k]
            edges[0, n_edges], edges[1, n_edges] = max(i, j), min(i, j)
            # What is not sure in float32 is overwritten unless float64 says yes.
            n_edges += (bits >> (LANES + k)) & 1 or _is_within(points, i, j, radius)
    return n_edges


@compiled
def _is_within(points, i, j, radius):
    total = 0.0
    for k in range(points.shape[1]):
        total += (points[i, k] - points[j, k]) ** 2
    return total <= radius * radius
