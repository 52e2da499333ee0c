"""The edge classifiers by name."""

from __future__ import annotations

from torch import nn

from exatrkx_pipeline.config import GnnArchitecture, GnnConfig
from exatrkx_pipeline.networks.interaction_gnn import InteractionGNN
from exatrkx_pipeline.networks.res_agnn import ResAGNN

ARCHITECTURES: dict[GnnArchitecture, type[nn.Module]] = {
    "InteractionGNN": InteractionGNN,
    "ResAGNN": ResAGNN,
}


def build_gnn(config: GnnConfig) -> nn.Module:
    """An untrained network; call it as ``(nodes, edge_index, edges) -> logits``."""
    return ARCHITECTURES[config.architecture](config)
