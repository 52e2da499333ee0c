"""Edge filter: a cheap network over both ends of an edge, before the expensive one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import FilterConfig
from exatrkx_pipeline.networks.layers import Ends, edge_blocks


class EdgeFilter(nn.Module):
    """``VanillaFilter`` of Exa.TrkX: a tanh MLP, one layer norm shared by its layers.

    ``h = Linear(cat[x_row, x_col, e])``, then ``n_layers - 1`` times
    ``h = LayerNorm(tanh(Linear(h)))``, then ``Linear(h)`` to one logit. There is no
    activation after the input layer. Without edge inputs this is the paper's network
    (exatrkx-ctd2022, filter hyperparameters).
    """

    def __init__(self, config: FilterConfig) -> None:
        super().__init__()
        self.n_nodes_in = len(config.node_inputs)
        self.n_edges_in = len(config.edge_inputs)
        n_in = 2 * self.n_nodes_in + self.n_edges_in
        self.input_layer = nn.Linear(n_in, config.hidden)
        self.layers = nn.ModuleList(
            nn.Linear(config.hidden, config.hidden) for _ in range(config.n_layers - 1)
        )
        self.norm = nn.LayerNorm(config.hidden)
        self.output_layer = nn.Linear(config.hidden, 1)

    def forward(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); `edges` has shape (n_edges, n_edge_inputs)."""
        # The input layer is linear, so it is applied to every node once and gathered,
        # instead of once for each of a node's edges.
        w_row, w_col, w_edge = torch.split(
            self.input_layer.weight,
            [self.n_nodes_in, self.n_nodes_in, self.n_edges_in],
            dim=1,
        )
        at_row, at_col = nodes @ w_row.T + self.input_layer.bias, nodes @ w_col.T
        blocks = zip(*map(edge_blocks, (*edge_index, edges)), strict=True)
        return torch.cat(
            [
                self._logits(e, w_edge, at_row, at_col, (row, col))
                for row, col, e in blocks
            ]
        )

    def _logits(
        self, e: Tensor, w_edge: Tensor, at_row: Tensor, at_col: Tensor, ends: Ends
    ) -> Tensor:
        row, col = ends
        h = at_row.index_select(0, row) + at_col.index_select(0, col) + e @ w_edge.T
        for layer in self.layers:
            h = self.norm(torch.tanh(layer(h)))
        logits: Tensor = self.output_layer(h).squeeze(1)
        return logits
