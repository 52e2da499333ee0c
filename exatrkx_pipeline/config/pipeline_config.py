"""The whole chain's configuration, and its parts that are no network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from exatrkx_pipeline.config.checks import require
from exatrkx_pipeline.config.network_config import (
    FEATURE_NAMES,
    EmbeddingConfig,
    FilterConfig,
    GnnConfig,
    TorchScriptEmbedding,
    TorchScriptFilter,
    TorchScriptGnn,
)
from exatrkx_pipeline.config.refinement_config import RefinementConfig
from exatrkx_pipeline.config.track_building_config import TrackBuildingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureConfig:
    """The input tensor: names and scales of its columns. They have no defaults.

    Column `i` of FEATURES is the quantity `names[i]` divided by `scales[i]`.
    """

    names: tuple[str, ...]
    """Always ``r, phi, z``: mm, rad, mm, beam along z."""

    scales: tuple[float, ...]
    """Divisors in mm, rad, mm; they belong to the weights."""

    def __post_init__(self) -> None:
        require(
            self.names == FEATURE_NAMES,
            f"feature names must be {FEATURE_NAMES}, got {self.names}",
        )
        require(
            len(self.scales) == len(self.names)
            and all(math.isfinite(s) and s > 0.0 for s in self.scales),
            f"need one positive scale for each of {self.names}, got {self.scales}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig:
    """Fixed-radius neighbours in the embedding space."""

    r_val: float
    """Radius, in embedding units: pairs with a distance <= `r_val` are edges."""

    def __post_init__(self) -> None:
        require(
            math.isfinite(self.r_val) and self.r_val > 0.0,
            f"r_val must be positive, got {self.r_val}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """The whole chain; a network is built from sizes, or comes as TorchScript."""

    features: FeatureConfig
    embedding: EmbeddingConfig | TorchScriptEmbedding
    graph: GraphConfig
    filter: FilterConfig | TorchScriptFilter
    gnn: GnnConfig | TorchScriptGnn
    track_building: TrackBuildingConfig
    refinement: RefinementConfig | None = None
    """Of the candidates; none unless the weights say how."""
