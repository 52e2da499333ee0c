"""Steps of an optimiser, and its state between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exatrkx_pipeline.errors import WeightsError

if TYPE_CHECKING:
    from exatrkx_pipeline.training.stage_schedule import StageSchedule

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
        """Go down the gradient of the loss."""
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT_NORM)
        self._optimiser.step()
        self._rates.step()

    def tensors(self) -> dict[str, Tensor]:
        """Moments and counts of each parameter, as ``0.exp_avg``; not copied."""
        state = self._optimiser.state_dict()["state"]
        return {
            f"{number}.{name}": tensor
            for number, of_parameter in state.items()
            for name, tensor in of_parameter.items()
        }

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        rate: float = self._optimiser.param_groups[0]["lr"]
        return rate

    def go_on(
        self, n_steps: int, learning_rate: float, tensors: dict[str, Tensor]
    ) -> None:
        """Be as after so many steps, with what `learning_rate` and `tensors` gave.

        Raises
        ------
        WeightsError
            If the tensors are of other parameters.
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
