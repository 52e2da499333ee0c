"""How long, and how fast, the networks are trained."""

from __future__ import annotations

from dataclasses import dataclass

from exatrkx_pipeline.errors import PipelineConfigError

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
