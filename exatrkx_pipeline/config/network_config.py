"""Sizes and inputs of the three networks, or the TorchScript files that they are in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

from exatrkx_pipeline.config.checks import (
    require,
    require_choices,
    require_positive,
    require_score,
)

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
