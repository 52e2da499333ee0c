"""Rows of a tile through layers: product, layer norm and activation, within the cache.

Arrays are flat, float32 and contiguous; ``at`` is where a tile's first row begins and
``step`` from a row to the next, a multiple of 16. `packed_layers` writes the weights.
A row's result depends on that row alone, to the last bit: sums run in one order.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.tile_product import ROWS, one_row, six_rows
from exatrkx_pipeline.kernels.vectors import (
    LANES,
    fill,
    fma,
    load,
    multiply,
    relu,
    silu,
    spread,
    stay_apart,
    store,
    tanh,
    total,
)

# Columns of a plan of layers: int64, one row a layer.
N_IN, N_PANELS, AT, NORM, ACTIVATION = range(5)
PLAN_COLUMNS = 5
LINEAR, RELU, SILU, TANH = range(4)


@compiled_as_written
def product(  # noqa: PLR0917
    n_rows,
    n_in,
    n_panels,
    a,
    a_at,
    a_step,
    weights,
    w_at,
    start,
    start_at,
    start_step,
    out,
    out_at,
    out_step,
):
    """``out = start + a @ weights``, the weights in panels of 16 columns.

    `start` may be `out`, or one row for all (`start_step` 0).
    """
    stay_apart()
    for p in range(n_panels):
        w = w_at + p * n_in * LANES
        s = start_at + p * LANES
        o = out_at + p * LANES
        i = 0
        while i + ROWS <= n_rows:
            six_rows(
                a,
                a_at + i * a_step,
                a_step,
                n_in,
                weights,
                w,
                start,
                s + i * start_step,
                start_step,
                out,
                o + i * out_step,
                out_step,
            )
            i += ROWS
        while i < n_rows:
            one_row(
                a,
                a_at + i * a_step,
                a_step,
                n_in,
                weights,
                w,
                start,
                s + i * start_step,
                start_step,
                out,
                o + i * out_step,
                out_step,
            )
            i += 1


@compiled_as_written
def finish(plan, layer, weights, n_rows, h, h_at, h_step, scales):  # noqa: PLR0912, PLR0917
    """Norm and activation of a layer, in place. Its weights have made the mean 0.

    Rows go in pairs: half of a vector operation's time is waiting for the one before.
    The row after the last may be changed.
    """
    stay_apart()
    n_panels = plan[layer, N_PANELS]
    width = n_panels * LANES
    gain = plan[layer, AT] + plan[layer, N_IN] * width + width
    shift = gain + width
    kind = plan[layer, ACTIVATION]
    if plan[layer, NORM]:
        eps, share = weights[shift + width], weights[shift + width + 1]
        for i in range(n_rows):
            at = h_at + i * h_step
            squares = fill(np.float32(0.0))
            for p in range(n_panels):
                x = load(h, at + p * LANES)
                squares = fma(x, x, squares)
            scales[i] = total(squares)
        for i in range(n_rows):
            scales[i] = np.float32(1.0) / np.sqrt(scales[i] * share + eps)
        for p in range(n_panels):
            g, s = load(weights, gain + p * LANES), load(weights, shift + p * LANES)
            for i in range(0, n_rows, 2):
                at = h_at + i * h_step + p * LANES
                x = multiply(load(h, at), spread(scales, i))
                y = multiply(load(h, at + h_step), spread(scales, i + 1))
                x, y = fma(x, g, s), fma(y, g, s)
                if kind == SILU:
                    x, y = silu(x), silu(y)
                store(h, at, x)
                store(h, at + h_step, y)
    if kind == LINEAR or (kind == SILU and plan[layer, NORM]):
        return
    for i in range(n_rows):
        for p in range(n_panels):
            at = h_at + i * h_step + p * LANES
            x = load(h, at)
            if kind == SILU:
                x = silu(x)
            elif kind == RELU:
                x = relu(x)
            else:
                x = tanh(x)
            store(h, at, x)


@compiled_as_written
def layer_on(  # noqa: PLR0917
    plan, layer, weights, n_rows, a, a_at, a_step, h, h_at, h_step, scales
):
    """A layer of rows of `a`, written to `h`."""
    n_in, n_panels, at = plan[layer, N_IN], plan[layer, N_PANELS], plan[layer, AT]
    bias = at + n_in * n_panels * LANES
    product(
        n_rows,
        n_in,
        n_panels,
        a,
        a_at,
        a_step,
        weights,
        at,
        weights,
        bias,
        0,
        h,
        h_at,
        h_step,
    )
    finish(plan, layer, weights, n_rows, h, h_at, h_step, scales)


@compiled_as_written
def layers_on(  # noqa: PLR0917
    plan, first, last, weights, n_rows, work, here, half, step, scales
):
    """Layers `first` to `last` of the rows at `here`, one half of `work` (0 or `half`).

    Gives the half that the result is in: they take turns.
    """
    stay_apart()
    for layer in range(first, last):
        there = half - here
        layer_on(
            plan, layer, weights, n_rows, work, here, step, work, there, step, scales
        )
        here = there
    return here
