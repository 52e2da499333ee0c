"""``ResAGNN`` without gradients on the CPU, its edges in compiled passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exatrkx_pipeline.kernels.edge_ranges import even_ranges, run_over
from exatrkx_pipeline.kernels.fused_layers import array
from exatrkx_pipeline.kernels.fused_rows import rows_through, tile_rows
from exatrkx_pipeline.kernels.packed_layers import (
    Floats,
    LayerPacker,
    aligned,
    bias_of,
    centred,
    doubles,
    groups_of,
    packed,
    whole_panels,
)

if TYPE_CHECKING:
    from exatrkx_pipeline.networks.res_agnn import ResAGNN


@dataclass(frozen=True, slots=True)
class _PackedEdges:
    plan: NDArray[np.int64]
    """Layer 0: what the first one makes of a row and of a column; then those of an
    edge, of which the first takes nothing but the two."""

    weights: Floats
    width: int  #: of a state, in whole panels
    readout: Floats  #: weights of the output layer, then its bias


def res_agnn_logits(network: ResAGNN, nodes: Tensor, edge_index: Tensor) -> Tensor:
    """Logits as the network's own, shape (n_edges,)."""
    from exatrkx_pipeline.kernels import message_kernels  # noqa: PLC0415

    edges = packed(network.edge_network, lambda: _pack(network))
    row, col = array(edge_index[0]), array(edge_index[1])
    n_hidden, n_in = network.config.hidden, nodes.shape[1]
    # Of a node: its message, then its state.
    pairs = torch.zeros(len(nodes), 2, edges.width)
    message, state = pairs[:, 0, : n_hidden + n_in], pairs[:, 1, : n_hidden + n_in]
    state[:, :n_hidden] = network.input_network(nodes)
    state[:, n_hidden:] = nodes
    for _ in range(network.n_graph_iters):
        logits = _logits(edges, pairs, row, col)
        pairs[:, 0] = 0.0
        message_kernels.exchange(row, col, logits, array(pairs).ravel(), edges.width)
        both = torch.cat((message, state), dim=1)
        state[:, :n_hidden] += rows_through(network.node_network.network, both)
        state[:, n_hidden:] += nodes
    return torch.from_numpy(_logits(edges, pairs, row, col))


def _logits(
    edges: _PackedEdges, pairs: Tensor, row: NDArray[np.int64], col: NDArray[np.int64]
) -> Floats:
    from exatrkx_pipeline.kernels import edge_kernels, node_kernels  # noqa: PLC0415

    plan, weights, width = edges.plan, edges.weights, edges.width
    states = array(pairs[:, 1]).ravel()
    at, nothing = aligned(len(pairs) * 2 * width), np.empty(0, np.float32)
    run_over(
        even_ranges(len(pairs)),
        lambda lo, hi: node_kernels.linear(
            plan, 0, weights, lo, hi - lo, states, width, at, 2 * width
        ),
    )
    logits = np.empty(len(row), np.float32)
    run_over(
        even_ranges(len(row)),
        lambda lo, hi: edge_kernels.classify_edges(
            lo, hi, tile_rows(width), plan, 1, len(plan), weights, row, col,
            at, 2 * width, nothing, width, edges.readout, logits,
        ),
    )  # fmt: skip
    return logits


def _pack(network: ResAGNN) -> _PackedEdges:
    groups = list(groups_of(network.edge_network.network))
    (first, norm, activation), *others = groups
    n_hidden = first.out_features
    width = whole_panels(n_hidden)
    packer = LayerPacker()
    w_row, w_col = np.split(centred(doubles(first.weight)), 2, axis=1)
    ends, bias = np.zeros((2 * width, w_row.shape[1])), np.zeros(2 * width)
    ends[:n_hidden], ends[width : width + n_hidden] = w_row, w_col
    bias[:n_hidden] = centred(bias_of(first))
    packer.add(ends, bias)
    packer.add(np.empty((n_hidden, 0)), norm=norm, activation=activation)
    packer.add_groups(others[:-1])
    last = others[-1][0]
    readout = np.zeros(width + 1, np.float32)
    readout[:n_hidden], readout[width] = doubles(last.weight)[0], last.bias.item()
    return _PackedEdges(*packer.arrays(), width, readout)
