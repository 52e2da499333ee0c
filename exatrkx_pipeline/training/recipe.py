"""A training recipe: everything that decides the weights, besides the events."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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
from exatrkx_pipeline.training.stage_schedule import EdgeSchedule, StageSchedule
from exatrkx_pipeline.training.targets import Targets

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
