"""Metric learning: space points into a space where neighbours belong together."""

from __future__ import annotations

from torch import Tensor, nn

from exatrkx_pipeline.config import EmbeddingConfig
from exatrkx_pipeline.networks.layers import mlp


class Embedding(nn.Module):
    """MLP from node inputs to `dim` coordinates, not normalised.

    With the paper's sizes this is the ``LayerlessEmbedding`` of Exa.TrkX: six hidden
    layers of 512 with tanh, then a linear layer to 8 (exatrkx-ctd2022 configuration).
    """

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        sizes = (
            len(config.node_inputs),
            *(config.hidden,) * config.n_layers,
            config.dim,
        )
        self.network = mlp(
            sizes,
            activation=config.activation,
            layer_norm=config.layer_norm,
            output_activation=False,
        )

    def forward(self, nodes: Tensor) -> Tensor:
        """Coordinates, shape (n_space_points, dim)."""
        embedded: Tensor = self.network(nodes)
        return embedded
