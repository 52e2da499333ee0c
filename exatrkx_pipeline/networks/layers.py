"""The building block of all four networks: linear layers, norms, activations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import Activation
from exatrkx_pipeline.kernels.fused_layers import is_fused
from exatrkx_pipeline.kernels.fused_rows import rows_through

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Mlp(nn.Sequential):
    """Layers of `mlp`; in one pass on the CPU, where no gradients are needed."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """The last layer's output, shape (n, n_out), of the inputs side by side."""
        h = inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=1)
        if is_fused(h):
            return rows_through(self, h)
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
