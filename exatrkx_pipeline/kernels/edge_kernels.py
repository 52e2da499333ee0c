"""Passes of a graph network over its edges, a tile at a time.

Flat arrays as in `row_kernels`. ``at`` holds, for each node, what the linear layers of
an edge block make of it: `width` columns for the row's end, then `width` for the
column's. Passes take a range of edges; those of a range must be its rows' only ones.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.message_kernels import advance, gather
from exatrkx_pipeline.kernels.row_kernels import (
    AT,
    N_IN,
    N_PANELS,
    finish,
    layers_on,
    product,
)
from exatrkx_pipeline.kernels.vectors import (
    LANES,
    fill,
    fma,
    load,
    stay_apart,
    store,
    total,
)


@compiled_as_written
def edge_block(  # noqa: PLR0917
    plan,
    first,
    last,
    weights,
    begin,
    n,
    row,
    col,
    at,
    at_step,
    part,
    a,
    a_at,
    a_step,
    work,
    half,
    step,
    scales,
):
    """An edge block, layers `first` to `last`: the half of `work` its result is in."""
    stay_apart()
    n_panels = plan[first, N_PANELS]
    width = n_panels * LANES
    gather(begin, n, row, col, at, at_step, part, part + width, width, work, step)
    product(
        n,
        plan[first, N_IN],
        n_panels,
        a,
        a_at,
        a_step,
        weights,
        plan[first, AT],
        work,
        0,
        step,
        work,
        0,
        step,
    )
    finish(plan, first, weights, n, work, 0, step, scales)
    return layers_on(plan, first + 1, last, weights, n, work, 0, half, step, scales)


@compiled_as_written
def encode_edges(  # noqa: PLR0917
    lo,
    hi,
    tile,
    plan,
    first,
    middle,
    last,
    weights,
    row,
    col,
    is_shared,
    at,
    at_step,
    inputs,
    n_in,
    states,
    width,
    nodes,
):
    """Encoder (`first` to `middle`) and first update (`middle` to `last`) of edges."""
    half = tile * width
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        here = edge_block(
            plan,
            first,
            middle,
            weights,
            begin,
            n,
            row,
            col,
            at,
            at_step,
            0,
            inputs,
            begin * n_in,
            n_in,
            work,
            half,
            width,
            scales,
        )
        for p in range(0, n * width, LANES):
            store(states, begin * width + p, load(work, here + p))
        here = edge_block(
            plan,
            middle,
            last,
            weights,
            begin,
            n,
            row,
            col,
            at,
            at_step,
            2 * width,
            states,
            begin * width,
            width,
            work,
            half,
            width,
            scales,
        )
        advance(begin, n, row, col, is_shared, work, here, width, states, width, nodes)


@compiled_as_written
def update_edges(  # noqa: PLR0917
    lo,
    hi,
    tile,
    plan,
    first,
    last,
    weights,
    row,
    col,
    is_shared,
    at,
    at_step,
    states,
    width,
    nodes,
):
    """An update of the edges' states, and their sums over a node's edges."""
    half = tile * width
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        here = edge_block(
            plan,
            first,
            last,
            weights,
            begin,
            n,
            row,
            col,
            at,
            at_step,
            0,
            states,
            begin * width,
            width,
            work,
            half,
            width,
            scales,
        )
        advance(begin, n, row, col, is_shared, work, here, width, states, width, nodes)


@compiled_as_written
def classify_edges(  # noqa: PLR0917
    lo,
    hi,
    tile,
    plan,
    first,
    last,
    weights,
    row,
    col,
    at,
    at_step,
    states,
    width,
    readout,
    logits,
):
    """An edge block and a linear layer of one output, whose bias is last."""
    half = tile * width
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        here = edge_block(
            plan,
            first,
            last,
            weights,
            begin,
            n,
            row,
            col,
            at,
            at_step,
            0,
            states,
            begin * width,
            width,
            work,
            half,
            width,
            scales,
        )
        for i in range(n):
            products = fill(np.float32(0.0))
            for p in range(0, width, LANES):
                h = load(work, here + i * width + p)
                products = fma(h, load(readout, p), products)
            logits[begin + i] = total(products) + readout[width]
