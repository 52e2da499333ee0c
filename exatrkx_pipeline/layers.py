"""The building block of all four networks: linear layers, norms, activations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from exatrkx_pipeline.config import Activation

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def mlp(
    sizes: Sequence[int],
    *,
    activation: Activation,
    layer_norm: bool,
    output_activation: bool,
) -> nn.Sequential:
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
    return nn.Sequential(*modules)
