"""What edges take from their nodes, and what they give to them; see `edge_kernels`."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.vectors import LANES, add, fill, fma, load, store


@compiled_as_written
def gather(  # noqa: PLR0917
    begin, n, row, col, at, at_step, at_row, at_col, width, h, step
):
    """Rows of `h`: the sum of what both ends of an edge hold in `at`."""
    for i in range(n):
        r = row[begin + i] * at_step + at_row
        c = col[begin + i] * at_step + at_col
        for p in range(0, width, LANES):
            store(h, i * step + p, add(load(at, r + p), load(at, c + p)))


@compiled_as_written
def advance(  # noqa: PLR0917
    begin, n, row, col, is_shared, update, update_at, step, states, width, nodes
):
    """Add updates to the edges' states, and these to the sums at both of their ends."""
    node_step = 3 * width
    for i in range(n):
        edge = begin + i
        outward = row[edge] * node_step + width
        inward = col[edge] * node_step + 2 * width
        is_summed = not is_shared[col[edge]]
        for p in range(0, width, LANES):
            place = edge * width + p
            state = add(load(states, place), load(update, update_at + i * step + p))
            store(states, place, state)
            store(nodes, outward + p, add(load(nodes, outward + p), state))
            if is_summed:
                store(nodes, inward + p, add(load(nodes, inward + p), state))


@compiled_as_written
def sum_shared(lo, hi, shared, starts, edges, states, width, nodes):  # noqa: PLR0917
    """Incoming sums of the nodes that more than one range of edges leads to.

    In the order of the edges, as `advance` does: to the same bits.
    """
    for i in range(lo, hi):
        inward = shared[i] * 3 * width + 2 * width
        for k in range(starts[i], starts[i + 1]):
            state = edges[k] * width
            for p in range(0, width, LANES):
                place = inward + p
                store(nodes, place, add(load(nodes, place), load(states, state + p)))


@compiled_as_written
def exchange(row, col, logits, pairs, width):
    """Add to each end of an edge the other end's state, times the edge's attention.

    A node of `pairs` is its message, then its state; attention is the sigmoid of the
    logit.
    """
    for edge in range(len(logits)):
        attention = fill(np.float32(1.0) / (np.float32(1.0) + np.exp(-logits[edge])))
        outer, inner = row[edge] * 2 * width, col[edge] * 2 * width
        for p in range(0, width, LANES):
            state = load(pairs, outer + width + p)
            message = load(pairs, inner + p)
            store(pairs, inner + p, fma(attention, state, message))
        for p in range(0, width, LANES):
            state = load(pairs, inner + width + p)
            message = load(pairs, outer + p)
            store(pairs, outer + p, fma(attention, state, message))
