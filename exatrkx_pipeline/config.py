"""Sizes, cuts and scales of a pipeline: what weights record beside their tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from exatrkx_pipeline.errors import PipelineConfigError

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


def require(condition: bool, message: str) -> None:
    """Raise `PipelineConfigError` with the message, unless the condition holds."""
    if not condition:
        raise PipelineConfigError(message)


def require_choices(name: str, values: tuple[str, ...], kind: Any) -> None:
    """Demand that all values are among those of a `Literal`."""
    unknown = [v for v in values if v not in get_args(kind)]
    require(
        not unknown, f"{name} must be among {get_args(kind)}, got {', '.join(unknown)}"
    )


def require_positive(config: Any, *names: str) -> None:
    """Demand that these fields are positive integers."""
    for name in names:
        value = getattr(config, name)
        require(
            isinstance(value, int) and value > 0,
            f"{name} must be a positive integer, got {value!r}",
        )


def require_score(name: str, value: float) -> None:
    """Demand a score that some edge can be above."""
    require(0.0 <= value < 1.0, f"{name} must be in [0, 1), got {value}")


Activation = Literal["relu", "silu", "tanh"]
NodeInput = Literal["r", "phi", "z", "cos_phi", "sin_phi", "eta"]
EdgeInput = Literal["dr", "dphi", "dz", "deta", "curvature", "z0"]
GnnArchitecture = Literal["ResAGNN", "InteractionGNN"]

FEATURE_NAMES: tuple[NodeInput, ...] = ("r", "phi", "z")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingConfig:
    """Metric learning network: a plain MLP from node inputs to `dim` coordinates.

    The paper's (``LayerlessEmbedding``) is ``hidden=512, n_layers=6, dim=8,
    activation="tanh", layer_norm=False, node_inputs=("r", "phi", "z")``.
    """

    node_inputs: tuple[NodeInput, ...]
    hidden: int
    n_layers: int
    """Hidden layers."""
    dim: int = 8
    activation: Activation = "tanh"
    layer_norm: bool = False

    def __post_init__(self) -> None:
        require_choices("node_inputs", self.node_inputs, NodeInput)
        require_positive(self, "hidden", "n_layers", "dim")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """Edge filter (``VanillaFilter``): an MLP over both ends of an edge.

    The paper's is ``hidden=512, n_layers=5, node_inputs=("r", "phi", "z"),
    edge_inputs=(), filter_cut=0.21``.
    """

    node_inputs: tuple[NodeInput, ...]
    edge_inputs: tuple[EdgeInput, ...]
    hidden: int
    n_layers: int
    """Layers of width `hidden`, the input layer included."""
    filter_cut: float
    """Edges with a score above it (strictly) are kept."""

    def __post_init__(self) -> None:
        require_choices("node_inputs", self.node_inputs, NodeInput)
        require_choices("edge_inputs", self.edge_inputs, EdgeInput)
        require_positive(self, "hidden", "n_layers")
        require_score("filter_cut", self.filter_cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class GnnConfig:
    """Edge classifier.

    The paper's is ``architecture="ResAGNN", hidden=64, n_graph_iters=8,
    n_edge_layers=3, n_node_layers=3, node_inputs=("r", "phi", "z"), edge_inputs=()``.
    """

    architecture: GnnArchitecture
    node_inputs: tuple[NodeInput, ...]
    edge_inputs: tuple[EdgeInput, ...]
    hidden: int
    n_graph_iters: int
    n_edge_layers: int
    n_node_layers: int

    def __post_init__(self) -> None:
        require_choices("node_inputs", self.node_inputs, NodeInput)
        require_choices("edge_inputs", self.edge_inputs, EdgeInput)
        require_positive(
            self, "hidden", "n_graph_iters", "n_edge_layers", "n_node_layers"
        )
        require(
            self.architecture in get_args(GnnArchitecture),
            f"architecture must be one of {get_args(GnnArchitecture)}, "
            f"got {self.architecture!r}",
        )
        require(
            self.architecture == "InteractionGNN" or not self.edge_inputs,
            "ResAGNN takes no edge inputs",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TorchScript:
    """A network that is executed from a TorchScript file beside the weights' tensors.

    It takes the scaled columns r, phi, z, and edges as the paper's networks do.
    """

    torchscript: str
    """Name of the file, in the directory of the weights."""

    sha256: str
    """SHA-256 of the file; a file with another one is refused."""

    node_inputs: ClassVar[tuple[NodeInput, ...]] = FEATURE_NAMES
    edge_inputs: ClassVar[tuple[EdgeInput, ...]] = ()

    def __post_init__(self) -> None:
        require(
            bool(self.torchscript) and Path(self.torchscript).name == self.torchscript,
            f"torchscript must be the name of a file in the weights directory, "
            f"got {self.torchscript!r}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchScriptEmbedding(_TorchScript):
    """An embedding as TorchScript: ``(n, 3) -> (n, dim)``."""

    dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchScriptFilter(_TorchScript):
    """An edge filter as TorchScript: ``(n, 3), (2, n_edges) -> logits``."""

    filter_cut: float
    """Edges with a score above it (strictly) are kept."""

    def __post_init__(self) -> None:
        # No super(): dataclasses with slots are made anew, which breaks it.
        _TorchScript.__post_init__(self)
        require_score("filter_cut", self.filter_cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchScriptGnn(_TorchScript):
    """A GNN as TorchScript: ``(n, 3), (2, n_edges) -> logits``."""


TorchScriptConfig = TorchScriptEmbedding | TorchScriptFilter | TorchScriptGnn


TrackBuilder = Literal["components", "junction_removal", "cc_and_walk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBuildingConfig:
    """How scored edges become track candidates: the method and its cuts."""

    method: TrackBuilder
    score_cut: float
    """Edges with a score above it (strictly) take part."""

    walk_min: float = 0.1
    """``cc_and_walk``: lowest score of the best continuation of a path."""

    walk_add: float = 0.6
    """``cc_and_walk``: other continuations above this score are followed as well."""

    def __post_init__(self) -> None:
        require(
            self.method in get_args(TrackBuilder),
            f"method must be one of {get_args(TrackBuilder)}, got {self.method!r}",
        )
        for name in ("score_cut", "walk_min", "walk_add"):
            require_score(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementConfig:
    """Candidates split, joined and extended along helices, and those that are kept.

    Off unless the weights' configuration has the table ``[pipeline.refinement]``.
    """

    field_t: float
    """Field along the beam, in tesla; it turns radii into momenta. No default."""

    min_pt_gev: float = 0.0
    """Candidates whose helix has a lower transverse momentum are dissolved."""

    min_space_points: int = 1
    """Candidates of fewer points are dissolved, too."""

    transverse_mm: float = 0.5
    """Largest distance of a point from its helix, across the field. Multiple
    scattering of 1 GeV over the tracker's radius is about as much."""

    longitudinal_mm: float = 3.0
    """Largest distance along the field, projected across the track: about the
    resolution of strips."""

    reach_mm: float = 250.0
    """Largest step, in radius, by which a candidate is extended: one layer's gap."""

    join_reach_mm: float = 400.0
    """Largest gap, in radius, across which two candidates are joined."""

    def __post_init__(self) -> None:
        for name in (
            "field_t",
            "transverse_mm",
            "longitudinal_mm",
            "reach_mm",
            "join_reach_mm",
        ):
            value = getattr(self, name)
            require(
                math.isfinite(value) and value > 0.0,
                f"{name} must be positive, got {value!r}",
            )
        require(
            math.isfinite(self.min_pt_gev) and self.min_pt_gev >= 0.0,
            f"min_pt_gev must not be negative, got {self.min_pt_gev!r}",
        )
        require_positive(self, "min_space_points")


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
    """The whole chain. A network is built from sizes, or comes as TorchScript."""

    features: FeatureConfig
    embedding: EmbeddingConfig | TorchScriptEmbedding
    graph: GraphConfig
    filter: FilterConfig | TorchScriptFilter
    gnn: GnnConfig | TorchScriptGnn
    track_building: TrackBuildingConfig
    refinement: RefinementConfig | None = None
    """Refinement of the candidates; None leaves them as they are built."""
