"""``ResAGNN``: the residual attention GNN of the paper's shipped models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import GnnConfig
from exatrkx_pipeline.networks.layers import Ends, edge_blocks, mlp


class _EdgeNetwork(nn.Module):
    """Logit of each edge from its two ends; ``network`` as in the original's state."""

    def __init__(self, n_in: int, config: GnnConfig) -> None:
        super().__init__()
        sizes = (2 * n_in, *(n_in,) * config.n_edge_layers, 1)
        self.network = mlp(
            sizes, activation="relu", layer_norm=True, output_activation=False
        )

    def forward(self, x: Tensor, ends: Sequence[Ends]) -> list[Tensor]:
        """Logits, block by block."""
        first, rest = cast(nn.Linear, self.network[0]), self.network[1:]
        w_row, w_col = first.weight.chunk(2, dim=1)
        # Linear over cat[x_row, x_col]: once per node, then gathered.
        at_row, at_col = x @ w_row.T + first.bias, x @ w_col.T
        return [
            rest(at_row.index_select(0, row) + at_col.index_select(0, col)).squeeze(1)
            for row, col in ends
        ]


class _NodeNetwork(nn.Module):
    def __init__(self, n_in: int, config: GnnConfig) -> None:
        super().__init__()
        sizes = (2 * n_in, *(config.hidden,) * config.n_node_layers)
        self.network = mlp(
            sizes, activation="relu", layer_norm=True, output_activation=False
        )

    def forward(self, message: Tensor, x: Tensor) -> Tensor:
        updated: Tensor = self.network(message, x)
        return updated


class ResAGNN(nn.Module):
    """Attention by a shared edge network, residual node updates (Exa.TrkX CTD 2022).

    With the paper's sizes (3 inputs, hidden 64, 8 iterations, 3-layer networks) it has
    44,803 parameters under the original's names. Messages go both ways along an edge:
    the network expects one edge per pair.
    """

    def __init__(self, config: GnnConfig) -> None:
        super().__init__()
        self.config = config
        n_in = len(config.node_inputs)
        width = config.hidden + n_in
        self.n_graph_iters = config.n_graph_iters
        self.input_network = mlp(
            (n_in, *(config.hidden,) * config.n_node_layers),
            activation="relu",
            layer_norm=True,
            output_activation=True,
        )
        self.edge_network = _EdgeNetwork(width, config)
        self.node_network = _NodeNetwork(width, config)

    def forward(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); `edges` is part of the common call, unused."""
        del edges
        ends = list(zip(*map(edge_blocks, edge_index), strict=True))
        x = torch.cat((self.input_network(nodes), nodes), dim=1)
        for _ in range(self.n_graph_iters):
            message = torch.zeros_like(x)
            logits = self.edge_network(x, ends)
            for weight, both in zip(logits, ends, strict=True):
                _exchange(message, x, weight, both)
            update = self.node_network(message, x)
            x = x + torch.cat((update, nodes), dim=1)
        return torch.cat(self.edge_network(x, ends))


def _exchange(message: Tensor, x: Tensor, logits: Tensor, ends: Ends) -> None:
    """Add to each end of an edge the other end's state, times the edge's attention."""
    row, col = ends
    attention = torch.sigmoid(logits).unsqueeze(1)
    message.index_add_(0, col, attention * x.index_select(0, row))
    message.index_add_(0, row, attention * x.index_select(0, col))
