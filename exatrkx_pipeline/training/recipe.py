"""The training recipe: everything besides the events that decides the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import (
    EdgeInput,
    EmbeddingConfig,
    FeatureConfig,
    FilterConfig,
    GnnConfig,
    GraphConfig,
    NodeInput,
    PipelineConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.training.events import Augmentation

TINY_GEV = 1e-6  # full weight from zero on: any momentum is far above


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Weight of each particle by its transverse momentum: none, partial or full.

    At high pileup nearly all space points belong to soft particles. A network that does
    not have to find them keeps smaller graphs. One that may keep half of them makes
    fakes, so soft particles are true background: their edges are false, and count.
    """

    min_pt_gev: float = 0.0
    """Edges of softer particles are false."""

    full_pt_gev: float = 0.5
    """Edges of harder particles have the full weight."""

    partial_weight: float = 0.25
    """Weight of those in between, relative to the full weight; 0 leaves them out."""

    pt_power: float = 0.0
    """Above `full_pt_gev` the weight grows as this power of the momentum: hard
    particles are few, and lie in the dense cores of jets."""

    max_weight: float = 3.0
    """Largest such weight, relative to the full weight."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_pt_gev <= self.full_pt_gev:
            raise PipelineConfigError(
                "need 0 <= min_pt_gev <= full_pt_gev, "
                f"got {self.min_pt_gev} and {self.full_pt_gev} GeV"
            )
        if not 0.0 <= self.partial_weight <= 1.0:
            raise PipelineConfigError(
                f"partial_weight must be in [0, 1], got {self.partial_weight}"
            )
        if self.pt_power > 0.0 and self.full_pt_gev == 0.0:
            raise PipelineConfigError("pt_power needs a full_pt_gev above 0")
        if not (self.pt_power >= 0.0 and self.max_weight >= 1.0):
            raise PipelineConfigError(
                "need pt_power >= 0 and max_weight >= 1, "
                f"got {self.pt_power} and {self.max_weight}"
            )

    def include(self, pt_gev: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return True for the momenta of particles that should be found."""
        return pt_gev >= self.min_pt_gev

    def weights(self, pt_gev: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weight of each true edge, 0 for those of background particles."""
        weight = np.full(len(pt_gev), self.partial_weight)
        full = pt_gev > self.full_pt_gev
        excess = pt_gev[full] / max(self.full_pt_gev, TINY_GEV)
        weight[full] = np.minimum(excess**self.pt_power, self.max_weight)
        return np.where(self.include(pt_gev), weight, 0.0).astype(np.float32)


MIN_STEPS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSchedule:
    """Duration and learning rate of the training of one network."""

    n_steps: int
    """Optimiser steps."""

    learning_rate: float
    """Largest learning rate, reached after the share `warm_up` of the steps; it then
    falls as a cosine."""

    events_per_step: int = 1
    max_space_points: int = 20_000
    """Larger events are cut to a random wedge of about this many space points."""

    warm_up: float = 0.05
    weight_decay: float = 1e-4

    samples: tuple[str, ...] = ()
    """Names of the samples that it is trained on; empty means all of them."""

    fresh: bool = False
    """Begin with random weights even if the training starts from given weights."""

    def __post_init__(self) -> None:
        if self.n_steps < MIN_STEPS:
            raise PipelineConfigError(
                f"n_steps must be at least {MIN_STEPS}, got {self.n_steps}"
            )
        if not (self.learning_rate > 0.0 and self.events_per_step > 0):
            raise PipelineConfigError(
                "learning_rate and events_per_step must be positive, "
                f"got {self.learning_rate} and {self.events_per_step}"
            )
        if self.max_space_points < 1:
            raise PipelineConfigError(
                f"max_space_points must be at least 1, got {self.max_space_points}"
            )
        if not 0.0 < self.warm_up < 1.0:
            raise PipelineConfigError(f"warm_up must be in (0, 1), got {self.warm_up}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSchedule(StageSchedule):
    """Duration and learning rate for a network that classifies edges."""

    true_weight: float = 2.0
    """Weight of a true edge of full weight, relative to a false one."""

    max_edges: int = 1_000_000
    """Larger graphs are thinned to about this many edges, including all true ones. That
    suits the filter, which sees each edge by itself; a GNN needs the whole graph."""

    bfloat16: bool = False
    """Compute in bfloat16 where torch's autocast allows it; weights and optimiser stay
    float32. This gives 1.4 times as many steps a second on a processor with
    AVX512-BF16, and is slower on one without such products."""

    def __post_init__(self) -> None:
        # Named, because a slotted dataclass is not the class that `super()` remembers.
        StageSchedule.__post_init__(self)
        if not (self.true_weight > 0.0 and self.max_edges > 0):
            raise PipelineConfigError(
                "true_weight and max_edges must be positive, "
                f"got {self.true_weight} and {self.max_edges}"
            )


STAGES = ("embedding", "filter", "gnn")
"""The stages in order: each is trained on the output of the one before."""

NODES: tuple[NodeInput, ...] = ("r", "cos_phi", "sin_phi", "z", "eta")
EDGES: tuple[EdgeInput, ...] = ("dr", "dphi", "dz", "deta", "curvature", "z0")


def default_pipeline() -> PipelineConfig:
    """Return networks for the generic detector without pileup, sized for two cores.

    The radius here is the one of the training loss. `train` replaces it, and the filter
    cut, by those that reach the recipe's efficiencies.
    """
    return PipelineConfig(
        features=FeatureConfig(
            names=("r", "phi", "z"), scales=(1000.0, math.pi, 1000.0)
        ),
        embedding=EmbeddingConfig(
            node_inputs=NODES,
            hidden=256,
            n_layers=4,
            dim=8,
            activation="silu",
            layer_norm=True,
        ),
        graph=GraphConfig(r_val=1.0),
        filter=FilterConfig(
            node_inputs=NODES, edge_inputs=EDGES, hidden=64, n_layers=4, filter_cut=0.05
        ),
        gnn=GnnConfig(
            architecture="InteractionGNN",
            node_inputs=NODES,
            edge_inputs=EDGES,
            hidden=64,
            n_graph_iters=8,
            n_edge_layers=2,
            n_node_layers=2,
        ),
        track_building=TrackBuildingConfig(method="junction_removal", score_cut=0.3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """Shares of the true edges above 1 GeV that the graph's two cuts must keep."""

    neighbours: float
    """Share within the radius."""

    filter: float
    """Share of those above the filter's cut."""

    def __post_init__(self) -> None:
        if not (0.0 < self.neighbours <= 1.0 and 0.0 < self.filter <= 1.0):
            raise PipelineConfigError(
                "operating points must be in (0, 1], "
                f"got {self.neighbours} and {self.filter}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """Networks, schedules and operating points; the same recipe gives the same weights.

    That holds on one machine. Other libraries or numbers of threads add in another
    order, which changes the last bits, and training amplifies the difference.
    """

    pipeline: PipelineConfig = field(default_factory=default_pipeline)
    seed: int = 1
    n_validation: int = 50
    """Number of events kept for validation, the last of each sample."""

    validation_samples: tuple[str, ...] = ()
    """Samples whose validation events choose radius and cut; empty means all."""

    stages: tuple[str, ...] = STAGES
    """Stages to train. The others are taken from the weights to start from."""

    keep_cuts: bool = False
    """Keep radius and filter cut of the weights to start from."""

    targets: Targets = field(default_factory=Targets)
    embedding: StageSchedule = field(
        default_factory=lambda: StageSchedule(n_steps=12_000, learning_rate=1.5e-3)
    )
    filter: EdgeSchedule = field(
        default_factory=lambda: EdgeSchedule(n_steps=4_000, learning_rate=2e-3)
    )
    gnn: EdgeSchedule = field(
        default_factory=lambda: EdgeSchedule(n_steps=18_000, learning_rate=1e-3)
    )
    augmentation: Augmentation = field(default_factory=Augmentation)
    training_point: OperatingPoint = field(
        default_factory=lambda: OperatingPoint(neighbours=0.997, filter=0.998)
    )
    """Cuts of the graphs that the filter and the GNN are trained on: small graphs are
    fast to train on."""

    serving_point: OperatingPoint = field(
        default_factory=lambda: OperatingPoint(neighbours=0.999, filter=0.9995)
    )
    """Cuts of the graphs in use. They are wider than in training: the trained GNN
    rejects the additional false edges. Soft particles, whose edges the target does not
    count, gain most."""

    def __post_init__(self) -> None:
        unknown = [stage for stage in self.stages if stage not in STAGES]
        if unknown or not self.stages:
            raise PipelineConfigError(
                f"stages must be some of {', '.join(STAGES)}, got {self.stages}"
            )
        if self.n_validation < 0:
            raise PipelineConfigError(
                f"n_validation must not be negative, got {self.n_validation}"
            )
        if self.keep_cuts and "embedding" in self.stages:
            raise PipelineConfigError(
                "keep_cuts: the radius does not fit an embedding that is trained anew"
            )

    def schedule(self, stage: str) -> StageSchedule:
        """Return the schedule of the stage of this name."""
        schedules: dict[str, StageSchedule] = {
            "embedding": self.embedding,
            "filter": self.filter,
            "gnn": self.gnn,
        }
        return schedules[stage]
