"""Passes of a network over rows that stand alone, such as nodes, a tile at a time.

Flat arrays as in `row_kernels`. A node of the GNN is its state, then the sums over its
outgoing and its incoming edges: `width` columns each, which a layer sees side by side.
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
    layer_on,
    layers_on,
    product,
)
from exatrkx_pipeline.kernels.vectors import LANES, add, fill, load, store


@compiled_as_written
def rows_through(  # noqa: PLR0917
    lo, hi, tile, plan, first, last, weights, inputs, n_in, step, out, n_out
):
    """Layers `first` to `last`, at most `step` wide, of rows of `inputs`."""
    half = tile * step
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        layer_on(
            plan, first, weights, n, inputs, begin * n_in, n_in, work, 0, step, scales
        )
        here = layers_on(plan, first + 1, last, weights, n, work, 0, half, step, scales)
        for i in range(n):
            for k in range(n_out):
                out[(begin + i) * n_out + k] = work[here + i * step + k]


@compiled_as_written
def linear(plan, layer, weights, begin, n, a, a_step, out, out_step):  # noqa: PLR0917
    """A linear layer of rows `begin` to ``begin + n``."""
    n_in, n_panels, at = plan[layer, N_IN], plan[layer, N_PANELS], plan[layer, AT]
    bias = at + n_in * n_panels * LANES
    product(
        n,
        n_in,
        n_panels,
        a,
        begin * a_step,
        a_step,
        weights,
        at,
        weights,
        bias,
        0,
        out,
        begin * out_step,
        out_step,
    )


@compiled_as_written
def encode_nodes(  # noqa: PLR0917
    lo, hi, tile, plan, first, last, weights, inputs, n_in, width, nodes, at, at_step
):
    """States of nodes from their inputs, no sums, and (layer `last`) their `at`."""
    half = tile * width
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        layer_on(
            plan, first, weights, n, inputs, begin * n_in, n_in, work, 0, width, scales
        )
        here = layers_on(
            plan, first + 1, last, weights, n, work, 0, half, width, scales
        )
        for i in range(n):
            node = (begin + i) * 3 * width
            for p in range(0, width, LANES):
                store(nodes, node + p, load(work, here + i * width + p))
                store(nodes, node + width + p, fill(np.float32(0.0)))
                store(nodes, node + 2 * width + p, fill(np.float32(0.0)))
        linear(plan, last, weights, begin, n, nodes, 3 * width, at, at_step)


@compiled_as_written
def update_nodes(  # noqa: PLR0917
    lo, hi, tile, plan, first, last, weights, width, nodes, at, at_step
):
    """Add an update to the nodes' states, clear the sums; layer `last` gives `at`."""
    half = tile * width
    work, scales = np.zeros(2 * half, np.float32), np.ones(tile, np.float32)
    step = 3 * width
    for begin in range(lo, hi, tile):
        n = min(tile, hi - begin)
        layer_on(
            plan, first, weights, n, nodes, begin * step, step, work, 0, width, scales
        )
        here = layers_on(
            plan, first + 1, last, weights, n, work, 0, half, width, scales
        )
        for i in range(n):
            node = (begin + i) * step
            for p in range(0, width, LANES):
                state = add(load(nodes, node + p), load(work, here + i * width + p))
                store(nodes, node + p, state)
                store(nodes, node + width + p, fill(np.float32(0.0)))
                store(nodes, node + 2 * width + p, fill(np.float32(0.0)))
        linear(plan, last, weights, begin, n, nodes, step, at, at_step)
