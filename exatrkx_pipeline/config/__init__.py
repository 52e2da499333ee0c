"""Sizes, cuts and scales of a pipeline: what weights record beside their tensors."""

from exatrkx_pipeline.config.network_config import (
    FEATURE_NAMES,
    Activation,
    EdgeInput,
    EmbeddingConfig,
    FilterConfig,
    GnnArchitecture,
    GnnConfig,
    NodeInput,
    TorchScriptConfig,
    TorchScriptEmbedding,
    TorchScriptFilter,
    TorchScriptGnn,
)
from exatrkx_pipeline.config.pipeline_config import (
    FeatureConfig,
    GraphConfig,
    PipelineConfig,
)
from exatrkx_pipeline.config.refinement_config import RefinementConfig
from exatrkx_pipeline.config.track_building_config import (
    TrackBuilder,
    TrackBuildingConfig,
)

__all__ = [
    "FEATURE_NAMES",
    "Activation",
    "EdgeInput",
    "EmbeddingConfig",
    "FeatureConfig",
    "FilterConfig",
    "GnnArchitecture",
    "GnnConfig",
    "GraphConfig",
    "NodeInput",
    "PipelineConfig",
    "RefinementConfig",
    "TorchScriptConfig",
    "TorchScriptEmbedding",
    "TorchScriptFilter",
    "TorchScriptGnn",
    "TrackBuilder",
    "TrackBuildingConfig",
]
