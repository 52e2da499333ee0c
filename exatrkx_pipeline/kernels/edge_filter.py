"""The edge filter over the edges of a graph, a tile at a time."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.interaction import gather, weighted_sum
from exatrkx_pipeline.kernels.layers import (
    bias_rows,
    new_scratch,
    product,
    rows_of_tile,
    scratch_rows,
    tile_at,
)
from exatrkx_pipeline.kernels.layout import LANES
from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.vectors import (
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
def filter_edges(tiles, layers, graph, norm, readout, logits):  # noqa: PLR0917
    """Logits of the filter: in each layer tanh, then a norm.

    Gain, shift and mean of the norm are part of the next layer's weights; what is left
    of it is one factor a row, ``scratch.scales``, for the next layer's product.

    Parameters
    ----------
    tiles : Tiles
        Range of edges.
    layers : Layers
        The first one, of the edges' inputs, has neither activation nor norm. In others
        the bias is zero and a late bias is added after the factor.
    graph : Graph
        `edges` are the inputs.
    norm : SharedNorm
    readout : Readout
    logits : ndarray, shape (n_edges,), float32
        Written.
    """
    width = len(readout.weights)
    scratch = new_scratch(tiles.size, width)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        first = scratch_rows(scratch, 0)
        gather(tile, graph, graph.terms, width, first)
        product(tile.n, layers, 0, rows_of_tile(graph.edges, tile), first, first)
        scratch.scales[:] = np.float32(1.0)
        offset = 0
        for layer in range(1, len(layers.plan)):
            inputs, zeros = scratch_rows(scratch, offset), bias_rows(layers, layer)
            offset = scratch.size - offset
            out = scratch_rows(scratch, offset)
            product(tile.n, layers, layer, inputs, zeros, out)
            _tanh_and_scales(
                tile.n, layers.weights, zeros.offset + width, out, norm, scratch.scales
            )
        rows = scratch_rows(scratch, offset)
        for i in range(tile.n):
            product_of_row = weighted_sum(rows, i, readout.weights)
            logits[begin + i] = product_of_row * scratch.scales[i] + readout.bias


@compiled_as_written
def _tanh_and_scales(n_rows, weights, bias, rows, norm, scales):  # noqa: PLR0917
    """Scale rows, add the late bias, apply tanh, and renew the scales.

    Parameters
    ----------
    n_rows : int
    weights : ndarray, float32
    bias : int
        Offset of the late bias in `weights`.
    rows : Rows
        Modified in place.
    norm : SharedNorm
    scales : ndarray, shape (n_rows,), float32
        One over the deviation of each row; of the last layer's, then of this one's.
    """
    h, width = rows.values, rows.step
    one_over_width = np.float32(1.0 / norm.n_hidden)
    n_padded = np.float32(width - norm.n_hidden)
    for i in range(n_rows):
        offset = rows.offset + i * rows.step
        scale = fill(scales[i])
        sums = fill(np.float32(0.0))
        for p in range(0, width, LANES):
            x = tanh(fma(load(h, offset + p), scale, load(weights, bias + p)))
            store(h, offset + p, x)
            sums = add(sums, x)
        average = total(sums) * one_over_width
        mean = fill(average)
        squares = fill(np.float32(0.0))
        for p in range(0, width, LANES):
            x = subtract(load(h, offset + p), mean)
            squares = fma(x, x, squares)
        variance = total(squares) - n_padded * average * average
        variance *= one_over_width
        scales[i] = np.float32(1.0) / np.sqrt(variance + norm.eps)
