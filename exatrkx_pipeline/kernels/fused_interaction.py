"""The interaction network without gradients on the CPU: a few passes over the graph.

Edges go through a block in tiles that stay within the cache: the gathered ends, both
products, norms and activations, the new state and the sums at both ends are one pass
over memory. Results differ from torch's own in the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exatrkx_pipeline.kernels.edge_ranges import Range, run_over
from exatrkx_pipeline.kernels.fused_layers import array
from exatrkx_pipeline.kernels.graph_parts import GraphParts
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
    from exatrkx_pipeline.networks.interaction_gnn import EdgeBlock, InteractionGNN

TILE = 48
"""Edges or nodes of a tile: at 64 floats each, 12 kB a layer."""


@dataclass(frozen=True, slots=True)
class _PackedGnn:
    plan: NDArray[np.int64]
    weights: Floats
    width: int  #: of a state, in whole panels
    node_blocks: Sequence[
        Range
    ]  #: the encoder and each update; the layer after is `at`
    edge_blocks: Sequence[Range]  #: encoder, updates, classifier
    readout: Floats  #: weights of the output layer, then its bias


def interaction_logits(
    network: InteractionGNN, nodes: Tensor, edge_index: Tensor, edges: Tensor
) -> Tensor:
    """Logits as the network's own, shape (n_edges,)."""
    graph = _Graph.of(packed(network, lambda: _pack(network)), edge_index, len(nodes))
    graph.encode_nodes(nodes)
    graph.encode_edges(edges)
    for k in range(1, network.config.n_graph_iters):
        graph.update_nodes(k)
        graph.update_edges(k + 1)
    graph.update_nodes(network.config.n_graph_iters)
    return torch.from_numpy(graph.classify_edges())


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph on its way through the network."""

    gnn: _PackedGnn
    parts: GraphParts
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    states: Floats  #: of the edges
    nodes: Floats  #: state, sum over outgoing, sum over incoming edges of each
    at: Floats
    """What the edge blocks' layers make of a node: for the encoder and the first
    update, which see the same nodes, side by side; then for one block at a time."""

    @classmethod
    def of(cls, gnn: _PackedGnn, edge_index: Tensor, n_nodes: int) -> Self:
        row, col = array(edge_index[0]), array(edge_index[1])
        return cls(
            gnn,
            GraphParts.of(row, col, n_nodes),
            row,
            col,
            states=aligned(len(row) * gnn.width),
            nodes=aligned(n_nodes * 3 * gnn.width),
            at=aligned(n_nodes * 4 * gnn.width),
        )

    def encode_nodes(self, nodes: Tensor) -> None:
        """States and `at`, for the encoder and the first update of edges."""
        from exatrkx_pipeline.kernels import node_kernels  # noqa: PLC0415 - loads the compiler

        gnn, inputs = self.gnn, array(nodes).ravel()
        run_over(
            self.parts.nodes,
            lambda lo, hi: node_kernels.encode_nodes(
                lo, hi, TILE, gnn.plan, *gnn.node_blocks[0], gnn.weights,
                inputs, nodes.shape[1], gnn.width, self.nodes, self.at, 4 * gnn.width,
            ),
        )  # fmt: skip

    def encode_edges(self, edges: Tensor) -> None:
        """First states, first update, sums."""
        from exatrkx_pipeline.kernels import edge_kernels  # noqa: PLC0415

        gnn, inputs = self.gnn, array(edges).ravel()
        (first, middle), (_, last) = gnn.edge_blocks[:2]
        run_over(
            self.parts.edges,
            lambda lo, hi: edge_kernels.encode_edges(
                lo, hi, TILE, gnn.plan, first, middle, last, gnn.weights,
                self.row, self.col, self.parts.is_shared, self.at, 4 * gnn.width,
                inputs, edges.shape[1], self.states, gnn.width, self.nodes,
            ),
        )  # fmt: skip

    def update_nodes(self, block: int) -> None:
        """New states from the sums, and `at` for the next block of edges."""
        from exatrkx_pipeline.kernels import node_kernels  # noqa: PLC0415

        gnn = self.gnn
        self.parts.sum_shared(self.states, gnn.width, self.nodes)
        run_over(
            self.parts.nodes,
            lambda lo, hi: node_kernels.update_nodes(
                lo, hi, TILE, gnn.plan, *gnn.node_blocks[block], gnn.weights,
                gnn.width, self.nodes, self.at, 2 * gnn.width,
            ),
        )  # fmt: skip

    def update_edges(self, block: int) -> None:
        """New states and their sums."""
        from exatrkx_pipeline.kernels import edge_kernels  # noqa: PLC0415

        gnn = self.gnn
        run_over(
            self.parts.edges,
            lambda lo, hi: edge_kernels.update_edges(
                lo, hi, TILE, gnn.plan, *gnn.edge_blocks[block], gnn.weights,
                self.row, self.col, self.parts.is_shared, self.at, 2 * gnn.width,
                self.states, gnn.width, self.nodes,
            ),
        )  # fmt: skip

    def classify_edges(self) -> Floats:
        """The last block's logits."""
        from exatrkx_pipeline.kernels import edge_kernels  # noqa: PLC0415

        gnn, logits = self.gnn, np.empty(len(self.row), np.float32)
        run_over(
            self.parts.edges,
            lambda lo, hi: edge_kernels.classify_edges(
                lo, hi, TILE, gnn.plan, *gnn.edge_blocks[-1], gnn.weights,
                self.row, self.col, self.at, 2 * gnn.width,
                self.states, gnn.width, gnn.readout, logits,
            ),
        )  # fmt: skip
        return logits


def _pack(network: InteractionGNN) -> _PackedGnn:
    packer = LayerPacker()
    hidden = network.output_layer.in_features
    width = whole_panels(hidden)
    edge_blocks = [network.edge_encoder, *network.edge_updates, network.classifier]
    node_ranges, edge_ranges = [], []
    for k, block in enumerate([network.node_encoder, *network.node_updates]):
        begin = len(packer.plan)
        (linear, norm, activation), *rest = groups_of(block)
        weight, bias = doubles(linear.weight), bias_of(linear)
        if k:
            weight = _in_panels(weight, hidden)
        packer.add(centred(weight), centred(bias), norm=norm, activation=activation)
        packer.add_groups(rest)
        node_ranges.append((begin, len(packer.plan)))
        _add_ends(packer, edge_blocks[:2] if k == 0 else edge_blocks[k + 1 : k + 2])
    for block in edge_blocks:
        begin = len(packer.plan)
        weight = centred(doubles(block.from_edge.weight))
        first_norm, first_activation, layers = block.rest
        assert isinstance(first_norm, nn.LayerNorm)
        packer.add(weight, norm=first_norm, activation=first_activation)
        packer.add_groups(groups_of(layers))
        edge_ranges.append((begin, len(packer.plan)))
    readout = np.zeros(width + 1, np.float32)
    readout[:hidden] = doubles(network.output_layer.weight)[0]
    readout[width] = network.output_layer.bias.item()
    return _PackedGnn(*packer.arrays(), width, node_ranges, edge_ranges, readout)


def _add_ends(packer: LayerPacker, blocks: Sequence[EdgeBlock]) -> None:
    """One layer for what the blocks' linear layers make of a row and of a column."""
    weights, biases = [], []
    for block in blocks:
        for linear in (block.from_row, block.from_col):
            n_out = linear.out_features
            fill = whole_panels(n_out) - n_out
            weight, bias = centred(doubles(linear.weight)), centred(bias_of(linear))
            weights.append(np.pad(weight, ((0, fill), (0, 0))))
            biases.append(np.pad(bias, (0, fill)))
    packer.add(np.concatenate(weights), np.concatenate(biases))


def _in_panels(weight: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Weights of inputs side by side, each filled up to whole panels."""
    parts = weight.reshape(len(weight), -1, width)
    padded = np.pad(parts, ((0, 0), (0, 0), (0, whole_panels(width) - width)))
    return padded.reshape(len(weight), -1)
