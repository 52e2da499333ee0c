"""Loops that renumber a graph's nodes and sort its edges."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled


@compiled
def has_edge(row, col, n_nodes):
    """Which nodes are the end of an edge."""
    found = np.zeros(n_nodes, np.bool_)
    for edge in range(len(row)):
        found[row[edge]] = True
        found[col[edge]] = True
    return found


@compiled
def sorted_by_row(row, col, number, n_numbers):
    """Edges between numbered nodes, sorted by row: their ends, and the place of each.

    By counting; edges of a row stay in their order.
    """
    n_edges = len(row)
    place = np.zeros(n_numbers + 1, np.int64)
    for edge in range(n_edges):
        place[number[row[edge]] + 1] += 1
    for k in range(n_numbers):
        place[k + 1] += place[k]
    ends = np.empty((2, n_edges), np.int64)
    order = np.empty(n_edges, np.int64)
    for edge in range(n_edges):
        r = number[row[edge]]
        k = place[r]
        place[r] += 1
        ends[0, k], ends[1, k] = r, number[col[edge]]
        order[k] = edge
    return ends, order
