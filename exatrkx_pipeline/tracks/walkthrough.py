"""Connected components and walkthrough (acorn's ``cc_and_walk``, CTD 2023).

Components that are simple chains are tracks. In the others, paths are walked outward
and the longest is taken, again and again, until no edge is left.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.edge_loops import grouped
from exatrkx_pipeline.kernels.layout import Edges
from exatrkx_pipeline.kernels.machine_code import compiled


class _Steps(NamedTuple):
    """Edges by one of their ends, in the order of `grouped`."""

    ends: NDArray[np.int64]  #: other end of each edge
    starts: NDArray[np.int64]  #: first of each point's edges in `edges`, and the end
    edges: NDArray[np.int64]


class _Walk(NamedTuple):
    """How paths are walked.

    From a point along the best edge, if that scores above `walk_min`, and along every
    edge that scores above `walk_add`.
    """

    outward: _Steps
    scores: NDArray[np.float64]
    walk_min: float
    walk_add: float


class _Paths(NamedTuple):
    """The longest path from each point, all of shape (n_space_points,)."""

    is_free: NDArray[np.bool_]  #: False for points that a taken path has
    n_points: NDArray[np.int64]
    score: NDArray[np.float64]  #: sum over its edges
    following: NDArray[np.int64]  #: next point, -1 at the end


def cc_and_walk(
    edge_index: NDArray[np.int64],
    scores: NDArray[np.float32],
    component: NDArray[np.int64],
    *,
    walk_min: float,
    walk_add: float,
) -> NDArray[np.int64]:
    """Split components that branch into their longest outward paths.

    Parameters
    ----------
    edge_index : ndarray, shape (2, n_edges), int64
        Row > column: an edge goes outward from its column to its row.
    scores : ndarray, shape (n_edges,), float32
        Scores in [0, 1].
    component : ndarray, shape (n_space_points,), int64
        Component of each point, numbers below `n_space_points`.
    walk_min, walk_add : float
        From a point the walk follows its best edge if that scores above `walk_min`, and
        every other edge above `walk_add`.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        A number for each track and for each point on none.

    Notes
    -----
    acorn lists every path from a start and keeps a longest one; we find it by dynamic
    programming over the outward order, in a time linear in the edges. Of equally long
    paths the one with the largest sum of scores is kept, then that from the innermost
    point.
    """
    n_points = len(component)
    row, col = edge_index
    degree_out = np.bincount(col, minlength=n_points)
    degree_in = np.bincount(row, minlength=n_points)
    branching = np.zeros(n_points, dtype=np.bool_)
    branching[component[(degree_out > 1) | (degree_in > 1)]] = True

    labels = component.copy()
    walked = branching[component]
    labels[walked] = n_points + np.flatnonzero(walked)  # alone until a path takes it
    kept = np.flatnonzero(branching[component[col]])
    _take_longest_paths(
        Edges(row[kept], col[kept]),
        scores[kept].astype(np.float64),
        walk_min,
        walk_add,
        labels,
    )
    return labels


@compiled
def _take_longest_paths(edges, scores, walk_min, walk_add, labels):
    """Give the points of the longest path one label, again and again.

    All components are walked at once, because a path changes nothing outside of its
    own. After a path is taken, only points that lead to it are walked from again.

    Parameters
    ----------
    edges : Edges
    scores : ndarray, shape (n_edges,), float64
    walk_min, walk_add : float
    labels : ndarray, shape (n_space_points,), int64
        Modified in place.
    """
    n_points = len(labels)
    starts_out, edges_out = grouped(edges.col, n_points)
    starts_in, edges_in = grouped(edges.row, n_points)
    walk = _Walk(_Steps(edges.row, starts_out, edges_out), scores, walk_min, walk_add)
    inward = _Steps(edges.col, starts_in, edges_in)
    paths = _Paths(
        np.ones(n_points, np.bool_),
        np.ones(n_points, np.int64),
        np.zeros(n_points),
        np.full(n_points, -1),
    )
    # A heap; the first entry is never taken: it is shorter than any path.
    longest = [(0, 0.0, n_points)]
    for point in range(n_points - 1, -1, -1):
        if starts_out[point] < starts_out[point + 1]:
            _walk_from(point, walk, paths)
            if paths.n_points[point] > 1:
                heappush(longest, (-paths.n_points[point], -paths.score[point], point))

    is_waiting = np.zeros(n_points, np.bool_)
    while len(longest) > 1:
        length, score, point = heappop(longest)
        is_current = paths.n_points[point] == -length and paths.score[point] == -score
        if not paths.is_free[point] or not is_current:
            continue  # from before some of its points were taken
        waiting = [0]  # a heap of points to walk from, outermost first
        label = labels[point]
        while point >= 0:
            labels[point] = label
            paths.is_free[point] = False
            _wait(point, inward, paths.is_free, is_waiting, waiting)
            point = paths.following[point]
        while len(waiting) > 1:
            point = -heappop(waiting)
            is_waiting[point] = False
            before, score = paths.n_points[point], paths.score[point]
            _walk_from(point, walk, paths)
            now = paths.n_points[point]
            if now != before or paths.score[point] != score:
                _wait(point, inward, paths.is_free, is_waiting, waiting)
                if now > 1:
                    heappush(longest, (-now, -paths.score[point], point))


@compiled
def _wait(point, inward, is_free, is_waiting, waiting):
    """Append the free points that lead to this one to the heap `waiting`."""
    for k in inward.edges[inward.starts[point] : inward.starts[point + 1]]:
        inner = inward.ends[k]
        if is_free[inner] and not is_waiting[inner]:
            is_waiting[inner] = True
            heappush(waiting, -inner)


@compiled
def _walk_from(point, walk, paths):
    """Find the longest path from a point; those from its outer neighbours are known.

    Parameters
    ----------
    point : int
    walk : _Walk
    paths : _Paths
        Modified at `point`.
    """
    row, scores, is_free = walk.outward.ends, walk.scores, paths.is_free
    starts = walk.outward.starts
    steps = walk.outward.edges[starts[point] : starts[point + 1]]
    best = -1
    for k in steps:
        if is_free[row[k]] and (
            best < 0
            or scores[k] > scores[best]
            or (scores[k] == scores[best] and row[k] > row[best])
        ):
            best = k
    n_points, score, outer = 1, 0.0, -1
    for k in steps:
        if is_free[row[k]] and (
            scores[k] > walk.walk_add or (k == best and scores[k] > walk.walk_min)
        ):
            n_through = paths.n_points[row[k]] + 1
            through = paths.score[row[k]] + scores[k]
            if n_through > n_points or (n_through == n_points and through > score):
                n_points, score, outer = n_through, through, row[k]
    paths.n_points[point] = n_points
    paths.score[point] = score
    paths.following[point] = outer
