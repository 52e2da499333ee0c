"""Learning curves, and the files from which an interrupted training is resumed."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from exatrkx_pipeline.errors import WeightsError
from sonic_base import decoding, whole_file

PARTS = 20
"""Number of parts into which the learning curve divides a stage's steps."""


@dataclass(slots=True)
class LearningCurve:
    """Mean loss of each twentieth part of a stage, and the duration of the stage."""

    stage: str
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    validation: list[float] = field(default_factory=list)
    """Loss on validation events after each part; empty if there are none."""


EVERY_N_STEPS = 200
NETWORK, OPTIMISER, RANDOM = "network.", "optimiser.", "torch_rng"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """A stage after some of its steps: everything that the next steps depend on.

    The only random state in it is torch's: see `step_rng`.
    """

    step: int  #: steps done
    learning_rate: float  #: of the next step
    curve: LearningCurve
    recent: list[float]  #: losses since the last point of the curve
    network: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    torch_rng: Tensor  #: from `torch.get_rng_state`


@dataclass(frozen=True, slots=True)
class StageFile:
    """The file of one stage: tensors, with the numbers in its header as JSON."""

    path: Path
    every_n_steps: int = EVERY_N_STEPS

    def is_due(self, step: int, n_steps: int) -> bool:
        """Return True if the state is saved after this step; always after the last."""
        return step % self.every_n_steps == 0 or step == n_steps

    def save(self, state: StageState) -> None:
        """Write the file; if the job is killed, it is either the old or the new one.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        tensors = {
            **{f"{NETWORK}{name}": each for name, each in state.network.items()},
            **{f"{OPTIMISER}{name}": each for name, each in state.optimiser.items()},
            RANDOM: state.torch_rng,
        }
        numbers = {
            "step": state.step,
            "learning_rate": state.learning_rate,
            "curve": asdict(state.curve),
            "recent": state.recent,
        }
        try:
            with whole_file(self.path) as unfinished:
                save_file(
                    {name: tensor.contiguous() for name, tensor in tensors.items()},
                    unfinished,
                    metadata={"state": json.dumps(numbers)},
                )
        except SafetensorError as error:  # its text alone has the system's error
            code = re.search(r"os error (\d+)", str(error))
            number = errno.EIO if code is None else int(code.group(1))
            raise OSError(number, os.strerror(number)) from error

    def load(self) -> StageState | None:
        """Read the file; None if there is none.

        Raises
        ------
        WeightsError
            If it is damaged.
        """
        if not self.path.exists():
            return None

        def damaged(reason: str) -> WeightsError:
            return WeightsError(f"{self.path}: damaged checkpoint: {reason}")

        with decoding(damaged), safe_open(self.path, framework="pt") as file:
            numbers = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        try:
            return StageState(
                step=numbers["step"],
                learning_rate=numbers["learning_rate"],
                curve=LearningCurve(**numbers["curve"]),
                recent=numbers["recent"],
                network=_with_prefix(tensors, NETWORK),
                optimiser=_with_prefix(tensors, OPTIMISER),
                torch_rng=tensors[RANDOM],
            )
        except (KeyError, TypeError) as error:
            raise damaged(f"{type(error).__name__}: {error}") from error


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """One file per stage, in a folder that exists."""

    folder: Path
    every_n_steps: int = EVERY_N_STEPS

    def of_stage(self, stage: str) -> StageFile:
        """Return the file of a stage, which may not exist yet."""
        return StageFile(self.folder / f"{stage}.safetensors", self.every_n_steps)
