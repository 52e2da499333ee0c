"""The three networks of a configuration, in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from exatrkx_pipeline.config import (
    EmbeddingConfig,
    FilterConfig,
    GnnArchitecture,
    GnnConfig,
    PipelineConfig,
    TorchScriptConfig,
)
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.networks.edge_filter import EdgeFilter
from exatrkx_pipeline.networks.embedding import Embedding
from exatrkx_pipeline.networks.interaction_gnn import InteractionGNN
from exatrkx_pipeline.networks.res_agnn import ResAGNN
from exatrkx_pipeline.networks.torchscript import load_scripted

ARCHITECTURES: dict[GnnArchitecture, Callable[[GnnConfig], nn.Module]] = {
    "InteractionGNN": InteractionGNN,
    "ResAGNN": ResAGNN,
}


def build_gnn(config: GnnConfig) -> nn.Module:
    """An untrained network; call it as ``(nodes, edge_index, edges) -> logits``."""
    return ARCHITECTURES[config.architecture](config)


def build_networks(
    config: PipelineConfig, directory: Path | None = None
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Embedding, edge filter and GNN: random weights, or TorchScript from `directory`.

    Raises
    ------
    PipelineConfigError
        If one is TorchScript, and there is no directory.
    WeightsError
        If its file cannot be used.
    """
    return (
        _build(config.embedding, directory),
        _build(config.filter, directory),
        _build(config.gnn, directory),
    )


def _build(
    config: EmbeddingConfig | FilterConfig | GnnConfig | TorchScriptConfig,
    directory: Path | None,
) -> nn.Module:
    match config:
        case EmbeddingConfig():
            return Embedding(config).eval()
        case FilterConfig():
            return EdgeFilter(config).eval()
        case GnnConfig():
            return build_gnn(config).eval()
    if directory is None:
        raise PipelineConfigError(
            f"{config.torchscript} is TorchScript: load the weights directory it is in"
        )
    return load_scripted(directory, config)
