"""Every served model by its name, built from its parameters, and its first call."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.serving import models
from exatrkx_pipeline.serving.models import ServedModel, served_models
from exatrkx_pipeline.serving.parameters import (
    FEATURES,
    REFINEMENT,
    TRACK_BUILDING,
    feature_config,
    model_parameters,
    number,
    refinement_config,
    text,
    track_building_config,
    with_parameters,
)
from exatrkx_pipeline.stages import StageClock
from exatrkx_pipeline.weights.storage import bundled_weights, load_weights

BUNDLED = "bundled"
"""Value of parameter ``weights`` that means those in the installed package."""

WHOLE = ("exatrkx", "exatrkx_batch")
STEPS = ("embed", "frnn", "filter", "applyfilter", "gnn", "wcc")
NETWORK_STEPS: dict[str, Callable[[Pipeline, Mapping[str, str]], ServedModel]] = {
    "embed": models.embed,
    "filter": models.edge_filter,
    "gnn": models.gnn,
}

STEP_PARAMETERS = {
    "frnn": ("r_val", "embedding_dim", "max_radius_edges"),
    "applyfilter": ("filter_cut", "max_edges"),
    "wcc": (*FEATURES, *TRACK_BUILDING, *REFINEMENT),
}
"""Parameters of the steps without a network, where they are set; the other models take
all parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Parameters, folder and device with which a server starts a model."""

    parameters: Mapping[str, str]
    folder: Path
    """Parameter ``weights`` is relative to it."""
    device: str = "cpu"
    clock: StageClock | None = None

    def pipeline(self) -> Pipeline:
        """Load the weights that the parameters name, with the cuts that they give.

        Raises
        ------
        WeightsError
            If the weights cannot be used.
        PipelineConfigError
            If a parameter is missing, wrong, or written for other weights.
        """
        name = text(self.parameters, "weights")
        folder = bundled_weights() if name == BUNDLED else self.folder / name
        return with_parameters(
            load_weights(folder, device=self.device), self.parameters
        )


def parameters_of(model: str, pipeline: Pipeline, weights: str) -> dict[str, str]:
    """Return the parameters that `build` needs for this model."""
    every = model_parameters(pipeline) | {
        "embedding_dim": str(pipeline.config.embedding.dim)
    }
    if model in STEP_PARAMETERS:
        return {name: every[name] for name in STEP_PARAMETERS[model] if name in every}
    return model_parameters(pipeline) | {"weights": weights}


def build(model: str, settings: ModelSettings) -> ServedModel:
    """Build the model of this name, ready to be called.

    Raises
    ------
    WeightsError, PipelineConfigError
        If its parameters are missing, wrong, or belong to other weights.
    """
    if model in STEP_PARAMETERS:
        return _light_step(model, settings.parameters, settings.device)
    pipeline = settings.pipeline()
    return served_model(model, pipeline, settings.parameters, settings.clock)


def served_model(
    model: str,
    pipeline: Pipeline,
    parameters: Mapping[str, str],
    clock: StageClock | None = None,
) -> ServedModel:
    """Return the model of this name over a pipeline that is loaded already."""
    if model in STEP_PARAMETERS:
        return _light_step(model, parameters, pipeline.device)
    if model in WHOLE:
        found = next(
            each for each in served_models(pipeline, clock) if each.name == model
        )
        return replace(found, parameters=dict(parameters))
    return NETWORK_STEPS[model](pipeline, parameters)


def _light_step(model: str, parameters: Mapping[str, str], device: str) -> ServedModel:
    if model == "frnn":
        return models.frnn(
            number(parameters, "r_val"),
            int(number(parameters, "embedding_dim")),
            device,
            parameters,
        )
    if model == "applyfilter":
        return models.applyfilter(number(parameters, "filter_cut"), parameters)
    return models.wcc(
        feature_config(parameters),
        track_building_config(parameters),
        refinement_config(parameters),
        parameters,
    )


N_ROWS = 2  # of each tensor: two equal points make one edge

LOCK_FILE = Path(tempfile.gettempdir()) / f"exatrkx-warm-up-{os.getuid()}.lock"
"""One per user, because the file of another user cannot be opened."""

# The KServe data types that the models here take.
DTYPES: dict[str, type[np.generic]] = {"FP32": np.float32, "INT64": np.int64}


def warm_up(model: ServedModel) -> None:
    """Run the model once, on zeros.

    Its loops are compiled in this call. On a machine where it never ran, that takes up
    to a minute, which must not count against the deadline of the first request: a
    server is ready only after it. The machine code is kept on disk, so the next time
    takes a second or two. Processes that start together, such as the instances of a
    Triton, take turns: the first one compiles for all.

    Parameters
    ----------
    model : ServedModel
        Any model of this catalogue.
    """
    tensors: dict[str, NDArray[Any]] = {
        name: np.zeros([N_ROWS if n < 0 else n for n in shape], DTYPES[data_type])
        for name, data_type, shape in model.inputs
    }
    if "ROW_SPLITS" in tensors:
        tensors["ROW_SPLITS"] = np.array([0, N_ROWS])
    with FileLock(LOCK_FILE):
        model.function(tensors)
