"""The building blocks of the networks: layers, and edges in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import Activation

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}

Ends = tuple[Tensor, Tensor]
"""Row and column of each edge of a block, both of shape (n_edges,), int64."""

EDGES_PER_BLOCK = 4_096
"""Edges of a block: times 64 floats this is 1 MB, which stays in the cache from layer
to layer."""


class Mlp(nn.Sequential):
    """Layers of `mlp`."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """The last layer's output, shape (n, n_out), of the inputs side by side."""
        h = inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=1)
        for layer in self:
            h = layer(h)
        return h


def mlp(
    sizes: Sequence[int],
    *,
    activation: Activation,
    layer_norm: bool,
    output_activation: bool,
) -> Mlp:
    """Linear layers of these sizes, each but the last followed by norm, activation.

    The last layer has norm and activation only if `output_activation`. Positions in the
    sequence are those of the Exa.TrkX networks (``Linear, LayerNorm, ReLU, ...``), so
    that their state dictionaries load by name.
    """
    modules: list[nn.Module] = []
    last = len(sizes) - 2
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        modules.append(nn.Linear(n_in, n_out))
        if i < last or output_activation:
            if layer_norm:
                modules.append(nn.LayerNorm(n_out))
            modules.append(ACTIVATIONS[activation]())
    return Mlp(*modules)


def edge_blocks(edges: Tensor) -> tuple[Tensor, ...]:
    """Views of `edges` along its first dimension, which bound a network's memory.

    A single one where gradients are needed. Splitting changes no value: every edge is
    computed from itself and its two nodes, and sums over edges run in the same order.
    """
    if torch.is_grad_enabled() or len(edges) <= EDGES_PER_BLOCK:
        return (edges,)
    return torch.split(edges, EDGES_PER_BLOCK)
