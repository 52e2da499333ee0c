"""The filter over the edges of a graph in tiles; arrays as in `edge_kernels`."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.message_kernels import gather
from exatrkx_pipeline.kernels.row_kernels import AT, N_IN, product
from exatrkx_pipeline.kernels.vectors import (
    LANES,
    add,
    fill,
    fma,
    load,
    store,
    subtract,
    tanh,
    total,
)


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
