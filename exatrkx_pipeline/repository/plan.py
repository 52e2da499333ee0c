"""What a model repository holds, as values: nothing is written yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from exatrkx_pipeline.checkpoints import bundled_weights, load_weights
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.repository.ensemble import EXATRKX_ENSEMBLE, EnsembleStep
from exatrkx_pipeline.serving.catalogue import (
    BUNDLED,
    STEPS,
    WHOLE,
    parameters_of,
    served_model,
)
from exatrkx_pipeline.serving.parameters import model_parameters
from exatrkx_pipeline.serving.served_model import TensorSpec
from exatrkx_pipeline.serving.whole_pipeline import FEATURES, LABELS

__all__ = ["MODELS", "Device", "ModelPlan", "plan_repository"]

Device = Literal["cpu", "gpu"]

ENSEMBLE = "exatrkx_ensemble"
MODELS = (*WHOLE, ENSEMBLE)
"""What a repository may be asked for; the ensemble brings its six steps."""

ON_GPU = (*WHOLE, "embed", "frnn", "filter", "gnn")
"""Models with work for a GPU; the other steps stay on the CPU."""

WEIGHTS_FOLDER = "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """One model: all that its ``config.pbtxt`` says. ``max_batch_size`` is 0."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, str]
    instances: int = 1
    device: Device = "cpu"
    steps: tuple[EnsembleStep, ...] = ()
    """Those of an ensemble; a model without any is a python one."""

    @property
    def own_weights(self) -> bool:
        """Whether a copy of the weights must be in the folder of its version."""
        return self.parameters.get("weights") == WEIGHTS_FOLDER and not self.steps


def plan_repository(
    models: Iterable[str] = MODELS,
    *,
    weights: Path | None = None,
    instances: int = 1,
    device: Device = "cpu",
) -> tuple[ModelPlan, ...]:
    """The models of a repository, those that an ensemble needs included.

    Parameters
    ----------
    models : iterable of str
        Some of `MODELS`.
    weights : Path, optional
        Directory of weights, of which each model gets a copy: stores in the cloud
        hand out one model at a time. Without it, the bundled ones are named.
    instances : int
        How many requests each python model runs at once.
    device : {"cpu", "gpu"}
        Where the networks and the neighbour search run.

    Raises
    ------
    PipelineConfigError
        If a model is unknown, `instances` below 1, or `device` unknown.
    WeightsError
        If the weights cannot be used.
    """
    wanted = list(dict.fromkeys(models))
    unknown = [name for name in wanted if name not in MODELS]
    if unknown or not wanted:
        raise PipelineConfigError(
            f"models: expected some of {', '.join(MODELS)}, "
            f"got {', '.join(unknown) or 'none'}"
        )
    if instances < 1:
        raise PipelineConfigError(f"instances must be at least 1, got {instances}")
    if device not in get_args(Device):
        raise PipelineConfigError(f"device must be cpu or gpu, got {device!r}")
    pipeline = load_weights(weights or bundled_weights())
    where = BUNDLED if weights is None else WEIGHTS_FOLDER
    names = [name for name in wanted if name != ENSEMBLE]
    plans = []
    for name in [*names, *(STEPS if ENSEMBLE in wanted else ())]:
        model = served_model(name, pipeline, parameters_of(name, pipeline, where))
        plans.append(
            ModelPlan(
                name=name,
                inputs=model.inputs,
                outputs=model.outputs,
                parameters=model.parameters,
                instances=instances,
                device=device if name in ON_GPU else "cpu",
            )
        )
    if ENSEMBLE in wanted:
        plans.append(
            ModelPlan(
                name=ENSEMBLE,
                inputs=(FEATURES,),
                outputs=(LABELS,),
                parameters=model_parameters(pipeline),
                steps=EXATRKX_ENSEMBLE,
            )
        )
    return tuple(plans)
