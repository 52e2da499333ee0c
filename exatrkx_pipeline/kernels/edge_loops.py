"""Compiled loops over the edges of a graph, each linear in edges and points."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled


@compiled
def lowest_of_components(row, col, n_points):
    """The lowest point of each point's component, shape (n_points,).

    Union-find: a root is the lowest point of its tree, and walks halve their path.
    """
    root = np.arange(n_points)
    for k in range(len(row)):
        a, b = row[k], col[k]
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        while root[b] != b:
            root[b] = root[root[b]]
            b = root[b]
        root[max(a, b)] = min(a, b)
    for point in range(n_points):  # what it leads to is lower, and done already
        root[point] = root[root[point]]
    return root


@compiled
def best_edge_of_each(group, scores, n_groups):
    """Edge with the best score in each group, the first of equal ones; -1 for none."""
    best = np.full(n_groups, -1)
    for k in range(len(group)):
        of_group = best[group[k]]
        if of_group < 0 or scores[k] > scores[of_group]:
            best[group[k]] = k
    return best


@compiled
def renumbered(labels, n_labels):
    """Labels below `n_labels`, numbered 0, 1, ... as they first appear."""
    number = np.full(n_labels, -1)
    found = np.empty_like(labels)
    n_found = 0
    for i in range(len(labels)):
        if number[labels[i]] < 0:
            number[labels[i]] = n_found
            n_found += 1
        found[i] = number[labels[i]]
    return found


@compiled
def grouped(group, n_groups):
    """Edges by group: first of each group and the end; and the edges in that order.

    Edges of a group stay in the order they are in.
    """
    starts = np.zeros(n_groups + 1, np.int64)
    for k in range(len(group)):
        starts[group[k] + 1] += 1
    for i in range(n_groups):
        starts[i + 1] += starts[i]
    place, order = starts[:-1].copy(), np.empty(len(group), np.int64)
    for k in range(len(group)):
        order[place[group[k]]] = k
        place[group[k]] += 1
    return starts, order
