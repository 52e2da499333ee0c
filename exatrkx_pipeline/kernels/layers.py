"""Rows of a tile through layers: product, norm and activation, within the cache.

A row's result depends on that row alone, to the last bit: sums run in one order.
Arguments are described in `layout`.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.layout import (
    ACTIVATION,
    HAS_NORM,
    LANES,
    LINEAR,
    N_IN,
    N_PANELS,
    OFFSET,
    RELU,
    SILU,
    Panels,
    Rows,
    Scratch,
    Tile,
)
from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.tile_product import ROWS, one_row, six_rows
from exatrkx_pipeline.kernels.vectors import (
    fill,
    fma,
    load,
    multiply,
    not_inlined,
    relu,
    silu,
    spread,
    store,
    tanh,
    total,
)


@compiled_as_written
def layers_over_rows(tiles, layers, width, inputs, out):
    """Apply layers to rows that stand alone.

    Parameters
    ----------
    tiles : Tiles
        Range of rows.
    layers : Layers
    width : int
        Floats of a row of the widest layer, in whole panels.
    inputs : Rows
        As many columns as the first layer has inputs.
    out : Rows
        Written; ``out.step`` is the number of columns.
    """
    scratch = new_scratch(tiles.size, width)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        result = layers_over_tile(tile, layers, inputs, scratch)
        for i in range(tile.n):
            for k in range(out.step):
                value = scratch.values[result + i * width + k]
                out.values[out.offset + (begin + i) * out.step + k] = value


@compiled_as_written
def linear(tile, layers, inputs, out):
    """The first of the layers, without norm and activation, of the rows of a tile.

    Parameters
    ----------
    tile : Tile
    layers : Layers
    inputs, out : Rows
        `out` is written, in whole panels.
    """
    product(
        tile.n,
        layers,
        0,
        rows_of_tile(inputs, tile),
        bias_rows(layers, 0),
        rows_of_tile(out, tile),
    )


@compiled_as_written
def new_scratch(n_rows, width):
    """Buffers for tiles of `n_rows` rows of `width` floats."""
    size = n_rows * width
    values, scales = np.zeros(2 * size, np.float32), np.ones(n_rows, np.float32)
    return Scratch(values, size, width, scales)


@compiled_as_written
def tile_at(tiles, begin):
    """The tile that begins there; the last one is shorter."""
    return Tile(begin, min(tiles.size, tiles.end - begin))


@compiled_as_written
def rows_of_tile(rows, tile):
    """The rows from the tile's first one on."""
    return Rows(rows.values, rows.offset + tile.begin * rows.step, rows.step)


@compiled_as_written
def scratch_rows(scratch, offset):
    """The rows of one of the buffers; `offset` is 0 or ``scratch.size``."""
    return Rows(scratch.values, offset, scratch.step)


@compiled_as_written
def bias_rows(layers, layer):
    """A layer's bias, for every row."""
    n_in, n_panels = layers.plan[layer, N_IN], layers.plan[layer, N_PANELS]
    offset = layers.plan[layer, OFFSET] + n_in * n_panels * LANES
    return Rows(layers.weights, offset, 0)


@compiled_as_written
def layers_over_tile(tile, layers, inputs, scratch):
    """Apply layers to the rows of a tile; the offset of the result in `scratch`."""
    first = scratch_rows(scratch, 0)
    product(tile.n, layers, 0, rows_of_tile(inputs, tile), bias_rows(layers, 0), first)
    finish(tile.n, layers, 0, first, scratch.scales)
    return other_layers(tile.n, layers, scratch)


@compiled_as_written
def other_layers(n_rows, layers, scratch):
    """Apply the layers after the first to the rows in the first buffer.

    Returns the offset of the result in `scratch`: the buffers take turns.
    """
    not_inlined()
    offset = 0
    for layer in range(1, len(layers.plan)):
        inputs = scratch_rows(scratch, offset)
        offset = scratch.size - offset
        out = scratch_rows(scratch, offset)
        product(n_rows, layers, layer, inputs, bias_rows(layers, layer), out)
        finish(n_rows, layers, layer, out, scratch.scales)
    return offset


@compiled_as_written
def product(n_rows, layers, layer, inputs, start, out):  # noqa: PLR0917
    """``out = start + inputs @ weights`` of a layer.

    Parameters
    ----------
    n_rows, layer : int
    layers : Layers
    inputs, start, out : Rows
        `start` may be `out`, or one row for all.
    """
    not_inlined()
    n_in, n_panels = layers.plan[layer, N_IN], layers.plan[layer, N_PANELS]
    panels = Panels(layers.weights, layers.plan[layer, OFFSET], n_in)
    for panel in range(n_panels):
        row = 0
        while row + ROWS <= n_rows:
            six_rows(inputs, panels, start, out, row, panel)
            row += ROWS
        while row < n_rows:
            one_row(inputs, panels, start, out, row, panel)
            row += 1


@compiled_as_written
def finish(n_rows, layers, layer, rows, scales):  # noqa: PLR0912
    """Norm and activation of a layer, in place. Its weights have made the mean 0.

    Two rows are computed at a time, because half of a vector operation's time is
    waiting for the one before. The row after the last may be changed.

    Parameters
    ----------
    n_rows, layer : int
    layers : Layers
    rows : Rows
        Room for ``n_rows + 1`` rows.
    scales : ndarray, shape (n_rows + 1,), float32
        Written: one over the deviation of each row.
    """
    not_inlined()
    h, weights = rows.values, layers.weights
    n_panels = layers.plan[layer, N_PANELS]
    width = n_panels * LANES
    gain = layers.plan[layer, OFFSET] + layers.plan[layer, N_IN] * width + width
    shift = gain + width
    activation, has_norm = layers.plan[layer, ACTIVATION], layers.plan[layer, HAS_NORM]
    if has_norm:
        eps, one_over_width = weights[shift + width], weights[shift + width + 1]
        for i in range(n_rows):
            offset = rows.offset + i * rows.step
            squares = fill(np.float32(0.0))
            for p in range(n_panels):
                x = load(h, offset + p * LANES)
                squares = fma(x, x, squares)
            scales[i] = total(squares)
        for i in range(n_rows):
            scales[i] = np.float32(1.0) / np.sqrt(scales[i] * one_over_width + eps)
        for p in range(n_panels):
            g, s = load(weights, gain + p * LANES), load(weights, shift + p * LANES)
            for i in range(0, n_rows, 2):
                offset = rows.offset + i * rows.step + p * LANES
                x = multiply(load(h, offset), spread(scales, i))
                y = multiply(load(h, offset + rows.step), spread(scales, i + 1))
                x, y = fma(x, g, s), fma(y, g, s)
                if activation == SILU:
                    x, y = silu(x), silu(y)
                store(h, offset, x)
                store(h, offset + rows.step, y)
    if activation == LINEAR or (activation == SILU and has_norm):
        return
    for i in range(n_rows):
        for p in range(n_panels):
            offset = rows.offset + i * rows.step + p * LANES
            x = load(h, offset)
            if activation == SILU:
                x = silu(x)
            elif activation == RELU:
                x = relu(x)
            else:
                x = tanh(x)
            store(h, offset, x)
