"""One training loop for all three networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.training.events import Augmentation, TrainingEvent, wedge

MAX_GRADIENT_NORM = 1.0
MIN_STEPS = 10


class Progress(Protocol):
    """Where a training loop reports to; a progress bar, a log, a learning curve."""

    def __call__(self, stage: str, step: int, n_steps: int, loss: float) -> None:
        """Called after every step; `loss` is that step's."""


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

    def __post_init__(self) -> None:
        # Named, for a slotted dataclass is not the class that `super()` remembers.
        StageSchedule.__post_init__(self)
        if not (self.true_weight > 0.0 and self.max_edges > 0):
            raise PipelineConfigError(
                "true_weight and max_edges must be positive, "
                f"got {self.true_weight} and {self.max_edges}"
            )


@dataclass(slots=True)
class LearningCurve:
    """Mean loss of each twentieth part of a stage, and the time the stage took."""

    stage: str
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


def augmented_batches(
    events: list[TrainingEvent],
    augmentation: Augmentation,
    schedule: StageSchedule,
    seed: int,
) -> Iterator[list[TrainingEvent]]:
    """Endless lists of `events_per_step` augmented events, in random order."""
    rng = np.random.default_rng(seed)
    queue: list[int] = []
    while True:
        batch = []
        for _ in range(schedule.events_per_step):
            if not queue:
                queue = rng.permutation(len(events)).tolist()
            event = events[queue.pop()]
            other = events[int(rng.integers(len(events)))]
            event, other = (
                wedge(each, schedule.max_space_points, rng) for each in (event, other)
            )
            batch.append(augmentation.apply(event, other, rng))
        yield batch


def train_stage(
    stage: str,
    network: nn.Module,
    loss_of: Callable[[], Tensor],
    schedule: StageSchedule,
    progress: Progress,
) -> LearningCurve:
    """Minimise `loss_of` (one call a step) by AdamW with warm-up and cosine decay.

    Gradients are clipped to norm 1. The network is left in evaluation mode.

    Raises
    ------
    FloatingPointError
        If a loss is not finite: the weights are then of no use.
    """
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=schedule.learning_rate,
        total_steps=schedule.n_steps,
        # Two steps at least: torch divides by the length of the warm-up.
        pct_start=max(schedule.warm_up, 2 / schedule.n_steps),
        cycle_momentum=False,
    )
    curve, recent = LearningCurve(stage), []
    start = time.perf_counter()
    network.train()
    for step in range(1, schedule.n_steps + 1):
        loss = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimiser.step()
        rates.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise FloatingPointError(f"{stage}: loss is {value} at step {step}")
        recent.append(value)
        if step * 20 // schedule.n_steps > len(curve.losses):
            curve.losses.append(float(np.mean(recent)))
            recent.clear()
        progress(stage, step, schedule.n_steps, value)
    network.eval()
    curve.seconds = time.perf_counter() - start
    return curve
