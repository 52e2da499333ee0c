"""Passes of a network over the edges of a graph, a tile at a time.

Flat arrays as in `row_kernels`. ``at`` holds, for each node, what the linear layers of
an edge block make of it: `width` columns for the row's end, then `width` for the
column's. Passes take a range of edges; those of a range must be its rows' only ones.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled_as_written
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
    add,
    fill,
    fma,
    load,
    stay_apart,
    store,
    subtract,
    tanh,
    total,
)


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
def filter_edges(  # noqa: PLR0917
    lo,
    hi,
    tile,
    plan,
    weights,
    row,
    col,
    at,
    at_step,
    inputs,
    n_in,
    width,
    n_hidden,
    readout,
    logits,
):
    """Layers of the filter: tanh, then a norm that is part of the layer after it.

    That layer's weights take a mean away; what is left of the norm is `scales`, which
    multiplies the product.
    """
    n_panels = width // LANES
    half = tile * width
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    share = np.float32(1.0 / n_hidden)
    n_padded = np.float32(width - n_hidden)
    eps = readout[width + 1]
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        gather(begin, n, row, col, at, at_step, 0, width, width, work, width)
        product(
            n,
            n_in,
            n_panels,
            inputs,
            begin * n_in,
            n_in,
            weights,
            plan[0, AT],
            work,
            0,
            width,
            work,
            0,
            width,
        )
        scales[:] = np.float32(1.0)
        here = 0
        for layer in range(1, len(plan)):
            there = half - here
            zeros = plan[layer, AT] + width * plan[layer, N_IN]
            product(
                n,
                plan[layer, N_IN],
                n_panels,
                work,
                here,
                width,
                weights,
                plan[layer, AT],
                weights,
                zeros,
                0,
                work,
                there,
                width,
            )
            here = there
            for i in range(n):
                h = here + i * width
                scale = fill(scales[i])
                mean = fill(np.float32(0.0))
                for p in range(0, width, LANES):
                    x = fma(load(work, h + p), scale, load(weights, zeros + width + p))
                    x = tanh(x)
                    store(work, h + p, x)
                    mean = add(mean, x)
                average = total(mean) * share
                mean = fill(average)
                squares = fill(np.float32(0.0))
                for p in range(0, width, LANES):
                    x = subtract(load(work, h + p), mean)
                    squares = fma(x, x, squares)
                variance = (total(squares) - n_padded * average * average) * share
                scales[i] = np.float32(1.0) / np.sqrt(variance + eps)
        for i in range(n):
            products = fill(np.float32(0.0))
            for p in range(0, width, LANES):
                h = load(work, here + i * width + p)
                products = fma(h, load(readout, p), products)
            logits[begin + i] = total(products) * scales[i] + readout[width]


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
