"""One training loop for all three networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from exatrkx_pipeline.errors import WeightsError
from exatrkx_pipeline.training.batches import augmented_batches
from exatrkx_pipeline.training.checkpoint import StageFile, StageState
from exatrkx_pipeline.training.learning_curve import PARTS, LearningCurve
from exatrkx_pipeline.training.optimisation import Optimisation
from exatrkx_pipeline.training.stage_schedule import EdgeSchedule, StageSchedule

__all__ = [
    "EdgeSchedule",
    "LearningCurve",
    "Progress",
    "StageSchedule",
    "augmented_batches",
    "train_stage",
]


class Progress(Protocol):
    """Where a training loop reports to; a progress bar, a log, a learning curve."""

    def __call__(self, stage: str, step: int, n_steps: int, loss: float) -> None:
        """Called after every step; `loss` is that step's."""


def train_stage(
    stage: str,
    network: nn.Module,
    loss_of: Callable[[], Tensor],
    schedule: StageSchedule,
    progress: Progress,
    *,
    validation_loss: Callable[[], float] | None = None,
    file: StageFile | None = None,
    saved: StageState | None = None,
) -> LearningCurve:
    """Minimise `loss_of` (one call a step) by AdamW with warm-up and cosine decay.

    Gradients are clipped to norm 1. The network is left in evaluation mode.

    Parameters
    ----------
    stage : str
    network : nn.Module
        Changed in place.
    loss_of : callable
        Loss of the next step: of the one after those in `saved`, if that is given.
    schedule : StageSchedule
    progress : Progress
    validation_loss : callable, optional
        Called without gradients after each twentieth part, for the learning curve.
    file : StageFile, optional
        Where the state is kept, now and then.
    saved : StageState, optional
        Where to go on; the result is that of a stage that was not interrupted, to the
        last bit on the same machine with as many threads.

    Raises
    ------
    FloatingPointError
        If a loss is not finite: the weights are then of no use.
    WeightsError
        If what was saved is of another network.
    """
    optimisation = Optimisation(network, schedule)
    curve, recent, done = LearningCurve(stage), [], 0
    if saved is not None:
        _restore(saved, network, optimisation)
        curve, recent, done = saved.curve, list(saved.recent), saved.step
    start = time.perf_counter() - curve.seconds
    network.train()
    for step in range(done + 1, schedule.n_steps + 1):
        loss = loss_of()
        optimisation.step(loss)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise FloatingPointError(f"{stage}: loss is {value} at step {step}")
        recent.append(value)
        if step * PARTS // schedule.n_steps > len(curve.losses):
            curve.losses.append(float(np.mean(recent)))
            recent.clear()
            if validation_loss is not None:
                curve.validation.append(_without_gradients(network, validation_loss))
        curve.seconds = time.perf_counter() - start
        if file is not None and file.is_due(step, schedule.n_steps):
            file.save(_state(step, curve, recent, network, optimisation))
        progress(stage, step, schedule.n_steps, value)
    network.eval()
    return curve


@torch.no_grad()
def _without_gradients(network: nn.Module, loss: Callable[[], float]) -> float:
    network.eval()
    value = loss()
    network.train()
    return value


def _state(
    step: int,
    curve: LearningCurve,
    recent: list[float],
    network: nn.Module,
    optimisation: Optimisation,
) -> StageState:
    return StageState(
        step=step,
        learning_rate=optimisation.learning_rate,
        curve=curve,
        recent=recent,
        network=network.state_dict(),
        optimiser=optimisation.tensors(),
        torch_rng=torch.get_rng_state(),
    )


def _restore(saved: StageState, network: nn.Module, optimisation: Optimisation) -> None:
    try:
        network.load_state_dict(saved.network)
    except RuntimeError as error:
        raise WeightsError(f"checkpoint: of another network: {error}") from error
    optimisation.go_on(saved.step, saved.learning_rate, saved.optimiser)
    torch.set_rng_state(saved.torch_rng)
