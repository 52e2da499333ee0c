"""Layers over rows that stand alone, without gradients on the CPU, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exatrkx_pipeline.kernels.edge_ranges import even_ranges, run_over
from exatrkx_pipeline.kernels.fused_layers import array
from exatrkx_pipeline.kernels.packed_layers import (
    Floats,
    LayerPacker,
    groups_of,
    packed,
    whole_panels,
)

TILE_FLOATS = 3_072
"""Of a tile's layer: 12 kB, and as much for the next one."""


@dataclass(frozen=True, slots=True)
class _PackedRows:
    plan: NDArray[np.int64]
    weights: Floats
    width: int  #: of the widest layer, in whole panels
    n_out: int


def rows_through(layers: nn.Sequential, inputs: Tensor) -> Tensor:
    """What the layers give for the rows, shape (n, n_out).

    Layers are linear ones, each followed by nothing, an activation, or norm and
    activation.
    """
    from exatrkx_pipeline.kernels import node_kernels  # noqa: PLC0415

    rows = packed(layers, lambda: _pack(layers))
    n, n_in = inputs.shape
    flat = array(inputs).ravel()
    out = np.empty((n, rows.n_out), np.float32)
    tile = tile_rows(rows.width)
    run_over(
        even_ranges(n),
        lambda lo, hi: node_kernels.rows_through(
            lo, hi, tile, rows.plan, 0, len(rows.plan), rows.weights, flat, n_in,
            rows.width, out.ravel(), rows.n_out,
        ),
    )  # fmt: skip
    return torch.from_numpy(out)


def tile_rows(width: int) -> int:
    """Rows of a tile whose layers have this width: whole sixes, as products take."""
    return max(TILE_FLOATS // width // 6, 2) * 6


def _pack(layers: nn.Sequential) -> _PackedRows:
    packer = LayerPacker()
    groups = list(groups_of(layers))
    packer.add_groups(groups)
    widths = [whole_panels(linear.out_features) for linear, _, _ in groups]
    return _PackedRows(*packer.arrays(), max(widths), groups[-1][0].out_features)
