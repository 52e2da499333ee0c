"""Which particles the networks are to find, and how much each counts."""

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
    """Particles by transverse momentum: background, of some, or of full weight.

    At high pileup nearly all space points are of soft particles. A network that need
    not find them keeps smaller graphs; one that may keep half of them makes fakes. So
    soft ones are background in earnest: their edges are false, and count.
    """

    min_pt_gev: float = 0.0
    """Edges of softer particles are false."""

    full_pt_gev: float = 0.5
    """Edges of harder particles have full weight."""

    partial_weight: float = 0.25
    """Weight of those in between, relative to full weight; 0 leaves them out."""

    pt_power: float = 0.0
    """Above `full_pt_gev` the weight grows as this power of the momentum: hard
    particles are few, and fly in the dense cores of jets."""

    max_weight: float = 3.0
    """Up to this, relative to full weight."""

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
        """Whether particles of these momenta are to be found."""
        return pt_gev >= self.min_pt_gev

    def weights(self, pt_gev: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much each true edge counts, 0 for those of background particles."""
        weight = np.full(len(pt_gev), self.partial_weight)
        full = pt_gev > self.full_pt_gev
        excess = pt_gev[full] / max(self.full_pt_gev, TINY_GEV)
        weight[full] = np.minimum(excess**self.pt_power, self.max_weight)
        return np.where(self.include(pt_gev), weight, 0.0).astype(np.float32)


MIN_STEPS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSchedule:
    """How long, and how fast, one network is trained."""

    n_steps: int
    """Optimiser steps."""

    learning_rate: float
    """Largest learning rate, reached after `warm_up` of the steps; then a cosine."""

    events_per_step: int = 1
    max_space_points: int = 20_000
    """Denser events are cut to a random wedge of about so many space points."""

    warm_up: float = 0.05
    weight_decay: float = 1e-4

    samples: tuple[str, ...] = ()
    """Names of the samples that it is trained on; all of them if none is named."""

    fresh: bool = False
    """Begin with random weights, also where the training starts from others."""

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
    """The same for a network that classifies edges."""

    true_weight: float = 2.0
    """Weight of a true edge of full weight, relative to a false one."""

    max_edges: int = 1_000_000
    """Larger graphs are thinned to about so many edges, all true ones among them: for
    the filter, which sees each edge by itself. A GNN needs the whole graph."""

    bfloat16: bool = False
    """Forward and backward in bfloat16 where torch's autocast finds that safe; weights
    and the optimiser stay float32. 1.4 times as many steps a second on a processor
    with AVX512-BF16; slower on one that has no such products."""

    def __post_init__(self) -> None:
        # Named, for a slotted dataclass is not the class that `super()` remembers.
        StageSchedule.__post_init__(self)
        if not (self.true_weight > 0.0 and self.max_edges > 0):
            raise PipelineConfigError(
                "true_weight and max_edges must be positive, "
                f"got {self.true_weight} and {self.max_edges}"
            )


STAGES = ("embedding", "filter", "gnn")
"""In the order of training: each is trained on what the one before it keeps."""

NODES: tuple[NodeInput, ...] = ("r", "cos_phi", "sin_phi", "z", "eta")
EDGES: tuple[EdgeInput, ...] = ("dr", "dphi", "dz", "deta", "curvature", "z0")


def default_pipeline() -> PipelineConfig:
    """Networks for the generic detector without pileup, small enough for two cores.

    The radius is that of the training loss; `train` replaces it and the filter cut by
    those that reach the recipe's efficiencies.
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

    (On one machine: sums in other orders, by other libraries or thread counts, differ
    in the last bits, and training amplifies them.)
    """

    pipeline: PipelineConfig = field(default_factory=default_pipeline)
    seed: int = 1
    n_validation: int = 50
    """Events, the last of each sample, for operating points and scores."""

    validation_samples: tuple[str, ...] = ()
    """Samples whose validation events choose radius and cut; all if none is named."""

    stages: tuple[str, ...] = STAGES
    """Those to be trained. The others are taken from the weights to start from."""

    keep_cuts: bool = False
    """Radius and filter cut of the weights to start from stay what they are there."""

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
    """Graphs that the filter and the GNN are trained on: small ones train fast."""

    serving_point: OperatingPoint = field(
        default_factory=lambda: OperatingPoint(neighbours=0.999, filter=0.9995)
    )
    """Graphs in use. Wider than in training: the trained GNN rejects what comes in with
    them, and soft particles, whose edges the target does not count, gain most."""

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
                "keep_cuts: a radius says nothing of an embedding that is trained anew"
            )

    def schedule(self, stage: str) -> StageSchedule:
        """The schedule of the stage of this name."""
        schedules: dict[str, StageSchedule] = {
            "embedding": self.embedding,
            "filter": self.filter,
            "gnn": self.gnn,
        }
        return schedules[stage]
