"""Connected components and walkthrough (acorn's ``cc_and_walk``, CTD 2023).

Components that are simple chains are tracks. In the others, paths are walked outward
and the longest is taken, again and again, until no edge is left.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


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
    paths the one with the largest sum of scores is kept.
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
    edges_of = np.flatnonzero(branching[component[col]])
    by_component = edges_of[np.argsort(component[col[edges_of]], kind="stable")]
    borders = np.flatnonzero(np.diff(component[col[by_component]])) + 1
    for edges in np.split(by_component, borders):
        for path in _longest_paths(
            row[edges], col[edges], scores[edges], walk_min, walk_add
        ):
            labels[path] = labels[path[0]]
    return labels


Step = tuple[float, int]  #: score of an edge and the point it leads to


def _longest_paths(
    row: NDArray[np.int64],
    col: NDArray[np.int64],
    scores: NDArray[np.float32],
    walk_min: float,
    walk_add: float,
) -> Iterator[list[int]]:
    """Longest path of one component, then of what is left, until only points are."""
    steps: dict[int, list[Step]] = {}
    for outer, inner, score in zip(
        row.tolist(), col.tolist(), scores.tolist(), strict=True
    ):
        steps.setdefault(inner, []).append((score, outer))
        steps.setdefault(outer, [])
    free = sorted(steps)
    while len(free) > 1:
        path = _longest_path(free, steps, walk_min, walk_add)
        if len(path) == 1:
            return
        yield path
        taken = set(path)
        free = [point for point in free if point not in taken]
        for point in free:
            steps[point] = [step for step in steps[point] if step[1] not in taken]


def _longest_path(
    free: list[int], steps: dict[int, list[Step]], walk_min: float, walk_add: float
) -> list[int]:
    """Longest allowed path; points are numbered outward: visit them descending."""
    length: dict[int, tuple[int, float]] = {}
    following: dict[int, int] = {}
    for point in reversed(free):
        length[point] = (1, 0.0)
        best = max(steps[point], default=None)
        for score, outer in steps[point]:
            if (score > walk_add) or ((score, outer) == best and score > walk_min):
                n_points, total = length[outer]
                if (n_points + 1, total + score) > length[point]:
                    length[point] = (n_points + 1, total + score)
                    following[point] = outer
    point = max(free, key=length.__getitem__)
    path = [point]
    while point in following:
        point = following[point]
        path.append(point)
    return path
