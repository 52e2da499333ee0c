"""The edge filter without gradients on the CPU: one pass over the edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exatrkx_pipeline.kernels.edge_ranges import even_ranges, run_over
from exatrkx_pipeline.kernels.fused_layers import array
from exatrkx_pipeline.kernels.fused_rows import tile_rows
from exatrkx_pipeline.kernels.packed_layers import (
    Floats,
    LayerPacker,
    aligned,
    bias_of,
    doubles,
    packed,
    whole_panels,
)

if TYPE_CHECKING:
    from exatrkx_pipeline.networks.edge_filter import EdgeFilter


@dataclass(frozen=True, slots=True)
class _PackedFilter:
    ends_plan: NDArray[np.int64]
    ends_weights: Floats
    plan: NDArray[np.int64]
    weights: Floats
    width: int
    readout: Floats  #: weights of the output layer, its bias, eps of the norm


def filter_logits(
    network: EdgeFilter, nodes: Tensor, edge_index: Tensor, edges: Tensor
) -> Tensor:
    """Logits as the network's own, shape (n_edges,)."""
    from exatrkx_pipeline.kernels import filter_kernels, node_kernels  # noqa: PLC0415

    weights = packed(network, lambda: _pack(network))
    width = weights.width
    tile = tile_rows(width)
    n_nodes, n_in = nodes.shape
    inputs, edge_inputs = array(nodes).ravel(), array(edges).ravel()
    row, col = array(edge_index[0]), array(edge_index[1])
    at = aligned(n_nodes * 2 * width)
    run_over(
        even_ranges(n_nodes),
        lambda lo, hi: node_kernels.linear(
            weights.ends_plan, 0, weights.ends_weights, lo, hi - lo,
            inputs, n_in, at, 2 * width,
        ),
    )  # fmt: skip
    logits = np.empty(len(row), np.float32)
    run_over(
        even_ranges(len(row)),
        lambda lo, hi: filter_kernels.filter_edges(
            lo, hi, tile, weights.plan, weights.weights, row, col, at, 2 * width,
            edge_inputs, edges.shape[1], width, network.norm.normalized_shape[0],
            weights.readout, logits,
        ),
    )  # fmt: skip
    return torch.from_numpy(logits)


def _pack(network: EdgeFilter) -> _PackedFilter:
    n_hidden = network.input_layer.out_features
    width = whole_panels(n_hidden)
    n = network.n_nodes_in
    first = doubles(network.input_layer.weight)
    ends = np.zeros((2 * width, n))
    ends[:n_hidden], ends[width : width + n_hidden] = first[:, :n], first[:, n : 2 * n]
    bias = np.zeros(2 * width)
    bias[:n_hidden] = bias_of(network.input_layer)
    at_ends, packer = LayerPacker(), LayerPacker()
    at_ends.add(ends, bias)
    packer.add(first[:, 2 * n :])
    for k, layer in enumerate(network.layers):
        assert isinstance(layer, nn.Linear)
        weight, bias = doubles(layer.weight), bias_of(layer)
        if k:
            weight, bias = _after_norm(weight, bias, network.norm)
        packer.add(weight, gain=bias)
    weight, bias = doubles(network.output_layer.weight), bias_of(network.output_layer)
    if len(network.layers):
        weight, bias = _after_norm(weight, bias, network.norm)
    readout = np.zeros(width + 2, np.float32)
    readout[:n_hidden], readout[width:] = weight[0], (bias[0], network.norm.eps)
    return _PackedFilter(*at_ends.arrays(), *packer.arrays(), width, readout)


def _after_norm(
    weight: NDArray[np.float64], bias: NDArray[np.float64], norm: nn.LayerNorm
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A linear layer with the norm before it, but for the division by the deviation.

    ``W (gain (h - mean) / deviation + shift) + b``: taking the mean of h away is linear
    in h, so that it can be taken from the rows of ``W gain`` instead.
    """
    scaled = weight * doubles(norm.weight)
    scaled -= scaled.mean(axis=1, keepdims=True)
    return scaled, weight @ doubles(norm.bias) + bias
