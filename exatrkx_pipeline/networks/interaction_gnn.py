"""Interaction network: edges and nodes carry states that inform each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import GnnConfig
from exatrkx_pipeline.networks.layers import Ends, Mlp, edge_blocks, mlp


class InteractionGNN(nn.Module):
    """Interaction network with residual updates and separate in- and outgoing sums.

    As acorn's ``InteractionGNN`` (``stages/edge_classifier/models``): node and edge
    encoders; then `n_graph_iters` times edges see both their ends, nodes the sum of
    their incoming and of their outgoing edges; a classifier reads the final states.
    Ours takes geometric edge inputs, and shares no weights between iterations.
    """

    def __init__(self, config: GnnConfig) -> None:
        super().__init__()
        self.config = config
        h = config.hidden
        node_sizes = (h,) * config.n_node_layers
        edge_sizes = (h,) * config.n_edge_layers
        self.node_encoder = _block((len(config.node_inputs), *node_sizes))
        self.edge_encoder = EdgeBlock(h, len(config.edge_inputs), edge_sizes)
        self.edge_updates = nn.ModuleList(
            EdgeBlock(h, h, edge_sizes) for _ in range(config.n_graph_iters)
        )
        self.node_updates = nn.ModuleList(
            _block((3 * h, *node_sizes)) for _ in range(config.n_graph_iters)
        )
        self.classifier = EdgeBlock(h, h, edge_sizes)
        self.output_layer = nn.Linear(h, 1)

    def forward(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); `edges` has shape (n_edges, n_edge_inputs).

        Without gradients, memory is one copy of the edges' states.
        """
        ends = list(zip(*map(edge_blocks, edge_index), strict=True))
        x = self.node_encoder(nodes)
        states = list(self.edge_encoder(x, edge_blocks(edges), ends))
        outward, inward = torch.empty_like(x), torch.empty_like(x)
        for update_edges, update_nodes in zip(
            self.edge_updates, self.node_updates, strict=True
        ):
            outward, inward = _zeros(outward), _zeros(inward)
            for i, update in enumerate(update_edges(x, states, ends)):
                states[i] = _advanced(states[i], update, ends[i], outward, inward)
            x = x + update_nodes(x, outward, inward)
        logits = [self.output_layer(e) for e in self.classifier(x, states, ends)]
        return torch.cat(logits).squeeze(1)


def _zeros(sums: Tensor) -> Tensor:
    """As many zeros; in place where no gradient needs the old sums."""
    return torch.zeros_like(sums) if torch.is_grad_enabled() else sums.zero_()


def _advanced(
    state: Tensor, update: Tensor, ends: Ends, outward: Tensor, inward: Tensor
) -> Tensor:
    """Sum of state and update, which is added to both sums over edges as well.

    In place where no gradient needs the old state: new arrays for the states of each
    iteration would leave the heap in pieces, three times the memory for a large event.
    """
    row, col = ends
    advanced = state + update if torch.is_grad_enabled() else state.add_(update)
    outward.index_add_(0, row, advanced)
    inward.index_add_(0, col, advanced)
    return advanced


class EdgeBlock(nn.Module):
    """MLP over cat[x_row, x_col, e], its first layer applied per node and gathered."""

    def __init__(self, n_node: int, n_edge: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.from_row = nn.Linear(n_node, sizes[0])
        self.from_col = nn.Linear(n_node, sizes[0], bias=False)
        self.from_edge = nn.Linear(n_edge, sizes[0], bias=False)
        self.rest = nn.Sequential(nn.LayerNorm(sizes[0]), nn.SiLU(), _block(sizes))

    def forward(
        self, x: Tensor, states: Sequence[Tensor], ends: Sequence[Ends]
    ) -> Iterator[Tensor]:
        """New states, one block at a time."""
        at_row, at_col = self.from_row(x), self.from_col(x)
        for e, (row, col) in zip(states, ends, strict=True):
            yield self.rest(
                at_row.index_select(0, row)
                + at_col.index_select(0, col)
                + self.from_edge(e)
            )


def _block(sizes: tuple[int, ...]) -> Mlp:
    return mlp(sizes, activation="silu", layer_norm=True, output_activation=True)
