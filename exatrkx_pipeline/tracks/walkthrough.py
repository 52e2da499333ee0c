"""Connected components and walkthrough (acorn's ``cc_and_walk``, CTD 2023).

Components that are simple chains are tracks. In the others, paths are walked outward
and the longest is taken, again and again, until no edge is left.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.edge_loops import grouped
from exatrkx_pipeline.kernels.machine_code import compiled


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
    edges = np.flatnonzero(branching[component[col]])
    _take_longest_paths(
        row[edges],
        col[edges],
        scores[edges].astype(np.float64),
        walk_min,
        walk_add,
        labels,
    )
    return labels


@compiled
def _take_longest_paths(row, col, scores, walk_min, walk_add, labels):  # noqa: PLR0917
    """Give the points of the longest path one label, again and again.

    Components are walked all at once: a path changes nothing outside of its own. After
    a path is taken, only points that lead to it are walked from anew.
    """
    n_points = len(labels)
    starts_out, edges_out = grouped(col, n_points)
    starts_in, edges_in = grouped(row, n_points)
    is_free = np.ones(n_points, np.bool_)
    length = np.ones(n_points, np.int64)  # of the longest path from each point
    total = np.zeros(n_points)  # of its scores
    following = np.full(n_points, -1)
    graph = (row, scores, starts_out, edges_out)
    longest = [(0, 0.0, n_points)]  # a heap; never taken: shorter than any path
    for point in range(n_points - 1, -1, -1):
        if starts_out[point] < starts_out[point + 1]:
            _walk_from(
                point, graph, walk_min, walk_add, is_free, length, total, following
            )
            if length[point] > 1:
                heappush(longest, (-length[point], -total[point], point))

    is_waiting = np.zeros(n_points, np.bool_)
    while len(longest) > 1:
        n_steps, score, point = heappop(longest)
        if not is_free[point] or length[point] != -n_steps or total[point] != -score:
            continue  # what it was before points of it were taken
        waiting = [0]  # a heap of points to walk from, outermost first
        label = labels[point]
        while point >= 0:
            labels[point] = label
            is_free[point] = False
            _wait(point, col, starts_in, edges_in, is_free, is_waiting, waiting)
            point = following[point]
        while len(waiting) > 1:
            point = -heappop(waiting)
            is_waiting[point] = False
            before, score = length[point], total[point]
            _walk_from(
                point, graph, walk_min, walk_add, is_free, length, total, following
            )
            if length[point] != before or total[point] != score:
                _wait(point, col, starts_in, edges_in, is_free, is_waiting, waiting)
                if length[point] > 1:
                    heappush(longest, (-length[point], -total[point], point))


@compiled
def _wait(  # noqa: PLR0917
    point, col, starts_in, edges_in, is_free, is_waiting, waiting
):
    """Note the free points that lead to this one."""
    for k in edges_in[starts_in[point] : starts_in[point + 1]]:
        inner = col[k]
        if is_free[inner] and not is_waiting[inner]:
            is_waiting[inner] = True
            heappush(waiting, -inner)


@compiled
def _walk_from(  # noqa: PLR0917
    point, graph, walk_min, walk_add, is_free, length, total, following
):
    """Longest path from a point, where those from its outer neighbours are known."""
    row, scores, starts, edges = graph
    best = -1
    for k in edges[starts[point] : starts[point + 1]]:
        if is_free[row[k]] and (
            best < 0
            or scores[k] > scores[best]
            or (scores[k] == scores[best] and row[k] > row[best])
        ):
            best = k
    n_points, score, outer = 1, 0.0, -1
    for k in edges[starts[point] : starts[point + 1]]:
        if is_free[row[k]] and (
            scores[k] > walk_add or (k == best and scores[k] > walk_min)
        ):
            n_through, through = length[row[k]] + 1, total[row[k]] + scores[k]
            if n_through > n_points or (n_through == n_points and through > score):
                n_points, score, outer = n_through, through, row[k]
    length[point], total[point], following[point] = n_points, score, outer
