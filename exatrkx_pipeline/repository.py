"""Model repositories: what a real Triton loads, written from the pipeline itself.

`plan_repository` decides what each model's configuration says, as values;
`write_repository` writes them. ``config.pbtxt`` is protobuf's text format, written by
hand because the pipeline does not depend on protobuf. A test reads it back with
Triton's own schema.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.model_names import ENSEMBLE_MODEL, SERVED_MODELS
from exatrkx_pipeline.serving.catalogue import (
    BUNDLED,
    CATALOGUE,
    STEPS,
    parameters_of,
    served_model,
)
from exatrkx_pipeline.serving.models import FEATURES, LABELS, TensorSpec
from exatrkx_pipeline.serving.parameters import model_parameters
from exatrkx_pipeline.weights.storage import (
    bundled_weights,
    load_weights,
    weights_files,
)

__all__ = [
    "EXATRKX_ENSEMBLE",
    "Device",
    "EnsembleStep",
    "ModelPlan",
    "config_text",
    "plan_repository",
    "write_repository",
]


@dataclass(frozen=True, slots=True)
class EnsembleStep:
    """One model of an ensemble, and how its tensors map to those of the ensemble."""

    model: str
    inputs: dict[str, str]
    """The model's name of a tensor to the ensemble's."""
    outputs: dict[str, str]


EXATRKX_ENSEMBLE = (
    EnsembleStep("embed", {"INPUT__0": "FEATURES"}, {"OUTPUT__0": "embedded"}),
    EnsembleStep("frnn", {"INPUT0": "embedded"}, {"OUTPUT0": "edges"}),
    EnsembleStep(
        "filter",
        {"INPUT__0": "FEATURES", "INPUT__1": "edges"},
        {"OUTPUT__0": "filter_scores"},
    ),
    EnsembleStep(
        "applyfilter",
        {"FILTER_SCORES": "filter_scores", "EDGE_LIST": "edges"},
        {"EDGE_LIST_AFTER_FILTER": "filtered_edges"},
    ),
    EnsembleStep(
        "gnn",
        {"INPUT__0": "FEATURES", "INPUT__1": "filtered_edges"},
        {"OUTPUT__0": "edge_scores"},
    ),
    EnsembleStep(
        "wcc",
        {"INPUT0": "filtered_edges", "INPUT1": "edge_scores", "FEATURES": "FEATURES"},
        {"OUTPUT0": "LABELS"},
    ),
)


Device = Literal["cpu", "gpu"]

WEIGHTS_FOLDER = "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """One model: the contents of its ``config.pbtxt``. ``max_batch_size`` is 0."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, str]
    instances: int = 1
    device: Device = "cpu"
    steps: tuple[EnsembleStep, ...] = ()
    """The steps of an ensemble; a model without steps runs in Python."""

    @property
    def own_weights(self) -> bool:
        """True if a copy of the weights must be in the folder of its version."""
        return self.parameters.get("weights") == WEIGHTS_FOLDER and not self.steps


def plan_repository(
    models: Iterable[str] = SERVED_MODELS,
    *,
    weights: Path | None = None,
    instances: int = 1,
    device: Device = "cpu",
    any_input: bool = False,
) -> tuple[ModelPlan, ...]:
    """Plan the models of a repository, including those that an ensemble needs.

    Parameters
    ----------
    models : iterable of str
        Some of `SERVED_MODELS`; the ensemble brings its six steps.
    weights : Path, optional
        Directory of weights. Each model gets a copy, because stores in the cloud hand
        out one model at a time. Without it, the models use the bundled weights.
    instances : int
        Number of requests that each Python model runs at once.
    device : {"cpu", "gpu"}
        Where the networks and the neighbour search run.
    any_input : bool
        Whether events are answered that are far from those of the weights' training.

    Raises
    ------
    PipelineConfigError
        If a model is unknown, `instances` below 1, or `device` unknown.
    WeightsError
        If the weights cannot be used.
    """
    wanted = list(dict.fromkeys(models))
    unknown = [name for name in wanted if name not in SERVED_MODELS]
    if unknown or not wanted:
        raise PipelineConfigError(
            f"models: expected some of {', '.join(SERVED_MODELS)}, "
            f"got {', '.join(unknown) or 'none'}"
        )
    if instances < 1:
        raise PipelineConfigError(f"instances must be at least 1, got {instances}")
    if device not in get_args(Device):
        raise PipelineConfigError(f"device must be cpu or gpu, got {device!r}")
    pipeline = load_weights(weights or bundled_weights())
    if any_input:
        pipeline = pipeline.with_checks(lambda _: None)
    where = BUNDLED if weights is None else WEIGHTS_FOLDER
    # The steps do not choose between weights: they are those of the first ones.
    first = replace(pipeline, denser=None)
    names = [name for name in wanted if name != ENSEMBLE_MODEL]
    plans = []
    for name in [*names, *(STEPS if ENSEMBLE_MODEL in wanted else ())]:
        served = first if name in STEPS else pipeline
        model = served_model(name, served, parameters_of(name, served, where))
        plans.append(
            ModelPlan(
                name=name,
                inputs=model.inputs,
                outputs=model.outputs,
                parameters=model.parameters,
                instances=instances,
                device=device if CATALOGUE[name].has_gpu_work else "cpu",
            )
        )
    if ENSEMBLE_MODEL in wanted:
        plans.append(
            ModelPlan(
                name=ENSEMBLE_MODEL,
                inputs=(FEATURES,),
                outputs=(LABELS,),
                parameters=model_parameters(first),
                steps=EXATRKX_ENSEMBLE,
            )
        )
    return tuple(plans)


HEADER = "# Written by `sonic repository`.\n"


def config_text(plan: ModelPlan) -> str:
    """The whole file."""
    lines = [
        f"name: {_quoted(plan.name)}",
        'platform: "ensemble"' if plan.steps else 'backend: "python"',
        "max_batch_size: 0",
        *(line for spec in plan.inputs for line in _tensor("input", spec)),
        *(line for spec in plan.outputs for line in _tensor("output", spec)),
    ]
    if plan.steps:
        lines += _message("ensemble_scheduling", _steps(plan.steps))
    else:
        kind = "KIND_GPU" if plan.device == "gpu" else "KIND_CPU"
        group = [f"count: {plan.instances}", f"kind: {kind}"]
        lines += _message("instance_group", group)
    for name, value in plan.parameters.items():
        entry = [f"key: {_quoted(name)}", f"value {{ string_value: {_quoted(value)} }}"]
        lines += _message("parameters", entry)
    return HEADER + "\n".join(lines) + "\n"


def _tensor(field: str, spec: TensorSpec) -> list[str]:
    name, datatype, shape = spec
    dims = ", ".join(map(str, shape))
    return _message(
        field,
        [f"name: {_quoted(name)}", f"data_type: TYPE_{datatype}", f"dims: [ {dims} ]"],
    )


def _steps(steps: Iterable[EnsembleStep]) -> list[str]:
    lines = []
    for step in steps:
        lines += _message(
            "step",
            [
                f"model_name: {_quoted(step.model)}",
                "model_version: -1",
                *_map("input_map", step.inputs),
                *_map("output_map", step.outputs),
            ],
        )
    return lines


def _map(field: str, entries: Mapping[str, str]) -> list[str]:
    return [
        f"{field} {{ key: {_quoted(key)} value: {_quoted(value)} }}"
        for key, value in entries.items()
    ]


def _message(field: str, lines: Iterable[str]) -> list[str]:
    return [f"{field} {{", *(f"  {line}" for line in lines), "}"]


def _quoted(text: str) -> str:
    return json.dumps(text)  # the same escapes, as long as it is ASCII


VERSION = "1"
MODEL_SOURCE = '''\
"""Written by `sonic repository`; the work is done in the installed package."""

from exatrkx_pipeline.serving.python_backend import python_model

TritonPythonModel = python_model("{name}")
'''


def write_repository(
    directory: Path, plans: Iterable[ModelPlan], weights: Path | None = None
) -> None:
    """Write the models, each in a folder of its name; other models there stay.

    Parameters
    ----------
    directory : Path
        Made if it does not exist. Models of the same names are replaced when all new
        ones are complete.
    plans : iterable of ModelPlan
        Returned by `plan_repository`.
    weights : Path, optional
        The weights that were given to `plan_repository`.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".models-",
        dir=directory.resolve().parent,
        ignore_cleanup_errors=True,  # they would hide the error
    ) as made:
        plans = list(plans)
        for plan in plans:
            _write_model(Path(made) / plan.name, plan, weights)
        directory.mkdir(exist_ok=True)
        for plan in plans:
            target = directory / plan.name
            if target.exists():
                shutil.rmtree(target)
            (Path(made) / plan.name).rename(target)


def _write_model(folder: Path, plan: ModelPlan, weights: Path | None) -> None:
    version = folder / VERSION
    version.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config_text(plan))
    if plan.steps:
        # Triton wants a folder for the version, and git keeps no empty one.
        (version / ".gitkeep").touch()
        return
    (version / "model.py").write_text(MODEL_SOURCE.format(name=plan.name))
    if plan.own_weights:
        assert weights is not None  # the plan was made with them
        copy = version / WEIGHTS_FOLDER
        copy.mkdir()
        for file in weights_files(weights):
            shutil.copyfile(file, copy / file.name)
