"""Sizes, cuts and scales of a pipeline: what weights record beside their tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

from exatrkx_pipeline.errors import PipelineConfigError

Activation = Literal["relu", "silu", "tanh"]
NodeInput = Literal["r", "phi", "z", "cos_phi", "sin_phi", "eta"]
EdgeInput = Literal["dr", "dphi", "dz", "deta", "curvature", "z0"]
GnnArchitecture = Literal["ResAGNN", "InteractionGNN"]
TrackBuilder = Literal["components", "junction_removal", "cc_and_walk"]

FEATURE_NAMES: tuple[NodeInput, ...] = ("r", "phi", "z")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PipelineConfigError(message)


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
        _require(
            self.names == FEATURE_NAMES,
            f"feature names must be {FEATURE_NAMES}, got {self.names}",
        )
        _require(
            len(self.scales) == len(self.names)
            and all(math.isfinite(s) and s > 0.0 for s in self.scales),
            f"need one positive scale for each of {self.names}, got {self.scales}",
        )


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
        _require_choices("node_inputs", self.node_inputs, NodeInput)
        _require_positive(self, "hidden", "n_layers", "dim")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig:
    """Fixed-radius neighbours in the embedding space."""

    r_val: float
    """Radius, in embedding units: pairs with a distance <= `r_val` are edges."""

    def __post_init__(self) -> None:
        _require(
            math.isfinite(self.r_val) and self.r_val > 0.0,
            f"r_val must be positive, got {self.r_val}",
        )


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
        _require_choices("node_inputs", self.node_inputs, NodeInput)
        _require_choices("edge_inputs", self.edge_inputs, EdgeInput)
        _require_positive(self, "hidden", "n_layers")
        _require_score("filter_cut", self.filter_cut)


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
        _require_choices("node_inputs", self.node_inputs, NodeInput)
        _require_choices("edge_inputs", self.edge_inputs, EdgeInput)
        _require_positive(
            self, "hidden", "n_graph_iters", "n_edge_layers", "n_node_layers"
        )
        _require(
            self.architecture in get_args(GnnArchitecture),
            f"architecture must be one of {get_args(GnnArchitecture)}, "
            f"got {self.architecture!r}",
        )
        _require(
            self.architecture == "InteractionGNN" or not self.edge_inputs,
            "ResAGNN takes no edge inputs",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBuildingConfig:
    """From scored edges to track candidates."""

    method: TrackBuilder
    score_cut: float
    """Edges with a score above it (strictly) take part."""

    walk_min: float = 0.1
    """``cc_and_walk``: lowest score of the best continuation of a path."""

    walk_add: float = 0.6
    """``cc_and_walk``: other continuations above this score are followed as well."""

    def __post_init__(self) -> None:
        _require(
            self.method in get_args(TrackBuilder),
            f"method must be one of {get_args(TrackBuilder)}, got {self.method!r}",
        )
        for name in ("score_cut", "walk_min", "walk_add"):
            _require_score(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _TorchScript:
    """A network that is run as it came, from a file beside the weights' tensors.

    It takes the scaled columns r, phi, z, and edges as the paper's networks do.
    """

    torchscript: str
    """Name of the file, in the directory of the weights."""

    sha256: str
    """Of its bytes: another file is refused."""

    node_inputs: ClassVar[tuple[NodeInput, ...]] = FEATURE_NAMES
    edge_inputs: ClassVar[tuple[EdgeInput, ...]] = ()

    def __post_init__(self) -> None:
        _require(
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
        _require_score("filter_cut", self.filter_cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchScriptGnn(_TorchScript):
    """A GNN as TorchScript: ``(n, 3), (2, n_edges) -> logits``."""


TorchScriptConfig = TorchScriptEmbedding | TorchScriptFilter | TorchScriptGnn


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """The whole chain; a network is built from sizes, or comes as TorchScript."""

    features: FeatureConfig
    embedding: EmbeddingConfig | TorchScriptEmbedding
    graph: GraphConfig
    filter: FilterConfig | TorchScriptFilter
    gnn: GnnConfig | TorchScriptGnn
    track_building: TrackBuildingConfig


ConfigT = TypeVar("ConfigT")


def config_from_dict(
    cls: type[ConfigT], table: dict[str, Any], where: str = ""
) -> ConfigT:
    """Build a configuration from plain values, as a TOML file gives them.

    Raises
    ------
    PipelineConfigError
        If a key is missing, unknown, or has a value of the wrong kind; the message
        names the key with its table.
    """
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    _require(
        not unknown,
        f"unknown keys in [{where or 'top level'}]: {', '.join(unknown)}; "
        f"known are {', '.join(hints)}",
    )
    values: dict[str, Any] = {}
    for name, hint in hints.items():
        path = f"{where}.{name}" if where else name
        if name not in table:
            continue
        value = table[name]
        kind = _form_of(hint, value) if isinstance(hint, UnionType) else hint
        if is_dataclass(kind):
            _require(isinstance(value, dict), f"[{path}] must be a table")
            value = config_from_dict(kind, value, path)  # type: ignore[arg-type]  # a class, checked
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    try:
        return cls(**values)
    except TypeError as exc:
        raise PipelineConfigError(f"[{where or 'config'}]: {exc}") from exc


def _form_of(network: UnionType, value: Any) -> Any:
    """Of a network's two forms the one that the table describes."""
    built, scripted = get_args(network)
    is_scripted = isinstance(value, dict) and "torchscript" in value
    return scripted if is_scripted else built


def config_to_dict(config: Any) -> dict[str, Any]:
    """Plain values of a configuration, ready for TOML."""
    table = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            value = config_to_dict(value)
        table[item.name] = list(value) if isinstance(value, tuple) else value
    return table


def _require_choices(name: str, values: tuple[str, ...], kind: Any) -> None:
    unknown = [v for v in values if v not in get_args(kind)]
    _require(
        not unknown, f"{name} must be among {get_args(kind)}, got {', '.join(unknown)}"
    )


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(
            isinstance(value, int) and value > 0,
            f"{name} must be a positive integer, got {value!r}",
        )


def _require_score(name: str, value: float) -> None:
    _require(0.0 <= value < 1.0, f"{name} must be in [0, 1), got {value}")
