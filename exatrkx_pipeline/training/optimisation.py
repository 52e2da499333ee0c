"""The training loop that all three networks share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from exatrkx_pipeline.errors import WeightsError
from exatrkx_pipeline.training.checkpoint import (
    PARTS,
    LearningCurve,
    StageFile,
    StageState,
)
from exatrkx_pipeline.training.recipe import StageSchedule

MAX_GRADIENT_NORM = 1.0


class Optimisation:
    """AdamW with warm-up and cosine decay, gradients clipped to norm 1.

    Parameters
    ----------
    network : nn.Module
        Its parameters are changed in place.
    schedule : StageSchedule
    """

    def __init__(self, network: nn.Module, schedule: StageSchedule) -> None:
        self._network = network
        self._optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
        )
        self._rates = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            max_lr=schedule.learning_rate,
            total_steps=schedule.n_steps,
            # Two steps at least: torch divides by the length of the warm-up.
            pct_start=max(schedule.warm_up, 2 / schedule.n_steps),
            cycle_momentum=False,
        )

    def step(self, loss: Tensor) -> None:
        """Take one step along the gradient of the loss."""
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT_NORM)
        self._optimiser.step()
        self._rates.step()

    def tensors(self) -> dict[str, Tensor]:
        """Return moments and counts of each parameter, as ``0.exp_avg``; not copied."""
        state = self._optimiser.state_dict()["state"]
        return {
            f"{number}.{name}": tensor
            for number, of_parameter in state.items()
            for name, tensor in of_parameter.items()
        }

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        rate: float = self._optimiser.param_groups[0]["lr"]
        return rate

    def restore(
        self, n_steps: int, learning_rate: float, tensors: dict[str, Tensor]
    ) -> None:
        """Set the state after `n_steps`, with the saved `learning_rate` and `tensors`.

        Raises
        ------
        WeightsError
            If the tensors belong to other parameters.
        """
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = tensor
        groups = self._optimiser.state_dict()["param_groups"]
        if sorted(state) != sorted(groups[0]["params"]):
            raise WeightsError(
                f"checkpoint: state of {len(state)} parameters, "
                f"the network has {len(groups[0]['params'])}"
            )
        groups[0]["lr"] = learning_rate
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})
        # The rate of a step follows from its number alone.
        self._rates.load_state_dict(
            self._rates.state_dict()
            | {
                "last_epoch": n_steps,
                "_step_count": n_steps + 1,
                "_last_lr": [learning_rate],
            }
        )


class Progress(Protocol):
    """Receiver of a training loop's progress, such as a progress bar or a log."""

    def __call__(self, stage: str, step: int, n_steps: int, loss: float) -> None:
        """Take note of a step; `loss` is the loss of this step."""


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
        Returns the loss of the next step, the one after those in `saved`.
    schedule : StageSchedule
    progress : Progress
    validation_loss : callable, optional
        Called without gradients after each twentieth part, for the learning curve.
    file : StageFile, optional
        File in which the state is saved at intervals.
    saved : StageState, optional
        State to resume from. The result is that of an uninterrupted stage, to the last
        bit on the same machine with as many threads.

    Raises
    ------
    FloatingPointError
        If a loss is not finite; the weights are then useless.
    WeightsError
        If the saved state belongs to another network.
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
        raise WeightsError(
            f"checkpoint: belongs to another network: {error}"
        ) from error
    optimisation.restore(saved.step, saved.learning_rate, saved.optimiser)
    torch.set_rng_state(saved.torch_rng)
