"""Loops over the edges and points of a graph, each linear in both."""

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
    for point in range(n_points):  # its parent is lower, and done already
        root[point] = root[root[point]]
    return root


@compiled
def best_edge_of_each(group, scores, n_groups):
    """Edge with the best score in each group, the first of equal ones; -1 for none.

    `group` and `scores` have shape (n_edges,), the result (n_groups,).
    """
    best = np.full(n_groups, -1)
    for k in range(len(group)):
        of_group = best[group[k]]
        if of_group < 0 or scores[k] > scores[of_group]:
            best[group[k]] = k
    return best


@compiled
def renumbered(labels, n_labels):
    """Labels below `n_labels`, numbered 0, 1, ... as they first appear; same shape."""
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
    """Edges sorted by group; edges of a group stay in their order.

    Parameters
    ----------
    group : ndarray, shape (n_edges,), int64
    n_groups : int

    Returns
    -------
    starts : ndarray, shape (n_groups + 1,), int64
        Where each group starts in `order`, and the end.
    order : ndarray, shape (n_edges,), int64
        Number of each edge.
    """
    starts = np.zeros(n_groups + 1, np.int64)
    for k in range(len(group)):
        starts[group[k] + 1] += 1
    for i in range(n_groups):
        starts[i + 1] += starts[i]
    following, order = starts[:-1].copy(), np.empty(len(group), np.int64)
    for k in range(len(group)):
        order[following[group[k]]] = k
        following[group[k]] += 1
    return starts, order


@compiled
def has_edge(row, col, n_nodes):
    """Whether each node is an end of an edge, shape (n_nodes,)."""
    found = np.zeros(n_nodes, np.bool_)
    for edge in range(len(row)):
        found[row[edge]] = True
        found[col[edge]] = True
    return found


@compiled
def sorted_by_row(row, col, number, n_numbers):
    """Edges between numbered nodes, sorted by row; edges of a row stay in their order.

    Parameters
    ----------
    row, col : ndarray, shape (n_edges,), int64
    number : ndarray, shape (n_nodes,), int64
        New number of each node that has an edge.
    n_numbers : int

    Returns
    -------
    ends : ndarray, shape (2, n_edges), int64
        New numbers.
    order : ndarray, shape (n_edges,), int64
        Place of each edge among the given ones.
    """
    n_edges = len(row)
    following = np.zeros(n_numbers + 1, np.int64)
    for edge in range(n_edges):
        following[number[row[edge]] + 1] += 1
    for k in range(n_numbers):
        following[k + 1] += following[k]
    ends = np.empty((2, n_edges), np.int64)
    order = np.empty(n_edges, np.int64)
    for edge in range(n_edges):
        r = number[row[edge]]
        k = following[r]
        following[r] += 1
        ends[0, k], ends[1, k] = r, number[col[edge]]
        order[k] = edge
    return ends, order
