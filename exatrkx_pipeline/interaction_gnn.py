"""Interaction network: edges and nodes carry states that inform each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import GnnConfig
from exatrkx_pipeline.edge_blocks import edge_blocks
from exatrkx_pipeline.layers import mlp


class InteractionGNN(nn.Module):
    """Interaction network with residual updates and separate in- and outgoing sums.

    As acorn's ``InteractionGNN`` (``stages/edge_classifier/models``): node and edge
    encoders; then `n_graph_iters` times edges see both their ends, nodes the sum of
    their incoming and of their outgoing edges; a classifier reads the final states.
    Ours takes geometric edge inputs, and shares no weights between iterations.
    """

    def __init__(self, config: GnnConfig) -> None:
        super().__init__()
        h = config.hidden
        node_sizes = (h,) * config.n_node_layers
        edge_sizes = (h,) * config.n_edge_layers
        self.node_encoder = _block((len(config.node_inputs), *node_sizes))
        self.edge_encoder = _EdgeBlock(h, len(config.edge_inputs), edge_sizes)
        self.edge_updates = nn.ModuleList(
            _EdgeBlock(h, h, edge_sizes) for _ in range(config.n_graph_iters)
        )
        self.node_updates = nn.ModuleList(
            _block((3 * h, *node_sizes)) for _ in range(config.n_graph_iters)
        )
        self.classifier = _EdgeBlock(h, h, edge_sizes)
        self.output_layer = nn.Linear(h, 1)

    def forward(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); `edges` has shape (n_edges, n_edge_inputs)."""
        ends = list(zip(*map(edge_blocks, edge_index), strict=True))
        x = self.node_encoder(nodes)
        # Block by block throughout: one copy of the states is the most that is held.
        states = list(self.edge_encoder(x, edge_blocks(edges), ends))
        for update_edges, update_nodes in zip(
            self.edge_updates, self.node_updates, strict=True
        ):
            outward, inward = torch.zeros_like(x), torch.zeros_like(x)
            for i, update in enumerate(update_edges(x, states, ends)):
                states[i] = _advanced(states[i], update)
                row, col = ends[i]
                outward.index_add_(0, row, states[i])
                inward.index_add_(0, col, states[i])
            x = x + update_nodes(torch.cat((x, outward, inward), dim=1))
        final = self.classifier(x, states, ends)
        return torch.cat([self.output_layer(e).squeeze(1) for e in final])


def _advanced(state: Tensor, update: Tensor) -> Tensor:
    """Their sum; in place where no gradient needs the old state.

    New arrays for the states of each iteration would leave the heap in pieces: three
    times the memory for a large event.
    """
    return state + update if torch.is_grad_enabled() else state.add_(update)


class _EdgeBlock(nn.Module):
    """MLP over cat[x_row, x_col, e], its first layer applied per node and gathered."""

    def __init__(self, n_node: int, n_edge: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.from_row = nn.Linear(n_node, sizes[0])
        self.from_col = nn.Linear(n_node, sizes[0], bias=False)
        self.from_edge = nn.Linear(n_edge, sizes[0], bias=False)
        self.rest = nn.Sequential(nn.LayerNorm(sizes[0]), nn.SiLU(), _block(sizes))

    def forward(
        self, x: Tensor, states: Sequence[Tensor], ends: Sequence[tuple[Tensor, Tensor]]
    ) -> Iterator[Tensor]:
        """New states, one block at a time."""
        at_row, at_col = self.from_row(x), self.from_col(x)
        for e, (row, col) in zip(states, ends, strict=True):
            yield self.rest(
                at_row.index_select(0, row)
                + at_col.index_select(0, col)
                + self.from_edge(e)
            )


def _block(sizes: tuple[int, ...]) -> nn.Sequential:
    return mlp(sizes, activation="silu", layer_norm=True, output_activation=True)
