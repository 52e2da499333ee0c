"""The list of served models: how each is built from its parameters, and first called.

To add a model, add a function to `models` and list it in `WHOLE`, and
its name in `model_names`.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.serving import models
from exatrkx_pipeline.serving.models import ServedModel
from exatrkx_pipeline.serving.parameters import (
    FEATURE_PARAMETERS,
    REFINEMENT_PARAMETERS,
    TRACK_BUILDING_PARAMETERS,
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
from sonic_base.input_range import InputCheck

BUNDLED = "bundled"
"""Value of parameter ``weights`` that means those in the installed package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Parameters, folder and device with which a server starts a model."""

    parameters: Mapping[str, str]
    folder: Path
    """Parameter ``weights`` is relative to it."""
    device: str = "cpu"
    clock: StageClock | None = None
    loaded: Pipeline | None = None
    """Taken as it is, if given; parameter ``weights`` and the folder are not used."""

    def pipeline(self) -> Pipeline:
        """Load the weights that the parameters name, with the cuts that they give.

        Borderline events are not warned of: that is for the client to say, once a job.

        Raises
        ------
        WeightsError
            If the weights cannot be used.
        PipelineConfigError
            If a parameter is missing, wrong, or written for other weights.
        """
        if self.loaded is not None:
            return self.loaded.with_checks(InputCheck.silent)
        name = text(self.parameters, "weights")
        folder = bundled_weights() if name == BUNDLED else self.folder / name
        loaded = load_weights(folder, device=self.device)
        return with_parameters(loaded, self.parameters).with_checks(InputCheck.silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """How one served model is built, and what a repository says of it."""

    build: Callable[[ModelSettings], ServedModel]
    has_gpu_work: bool = True
    """Whether it can run on a GPU; else it stays on the CPU."""
    own_parameters: tuple[str, ...] = ()
    """Parameters of a model that needs no weights, where they are set; the other models
    take all parameters, and ``weights``."""


WHOLE: dict[str, CatalogueEntry] = {
    "exatrkx": CatalogueEntry(
        build=lambda given: models.exatrkx(
            given.pipeline(), given.parameters, given.clock
        ),
    ),
    "exatrkx_batch": CatalogueEntry(
        build=lambda given: models.exatrkx_batch(
            given.pipeline(), given.parameters, given.clock
        ),
    ),
}
"""Models that are served by themselves; `model_names.WHOLE_MODELS` has their names."""

STEPS: dict[str, CatalogueEntry] = {
    "embed": CatalogueEntry(
        build=lambda given: models.embed(given.pipeline(), given.parameters),
    ),
    "frnn": CatalogueEntry(
        build=lambda given: models.frnn(
            number(given.parameters, "r_val"),
            int(number(given.parameters, "embedding_dim")),
            given.device,
            given.parameters,
        ),
        own_parameters=("r_val", "embedding_dim", "max_radius_edges"),
    ),
    "filter": CatalogueEntry(
        build=lambda given: models.edge_filter(given.pipeline(), given.parameters),
    ),
    "applyfilter": CatalogueEntry(
        build=lambda given: models.applyfilter(
            number(given.parameters, "filter_cut"), given.parameters
        ),
        has_gpu_work=False,
        own_parameters=("filter_cut", "max_edges"),
    ),
    "gnn": CatalogueEntry(
        build=lambda given: models.gnn(given.pipeline(), given.parameters),
    ),
    "wcc": CatalogueEntry(
        build=lambda given: models.wcc(
            feature_config(given.parameters),
            track_building_config(given.parameters),
            refinement_config(given.parameters),
            given.parameters,
        ),
        has_gpu_work=False,
        own_parameters=(
            *FEATURE_PARAMETERS,
            *TRACK_BUILDING_PARAMETERS,
            *REFINEMENT_PARAMETERS,
        ),
    ),
}
"""Steps of the pipeline, which are served together, as an ensemble."""

CATALOGUE: dict[str, CatalogueEntry] = WHOLE | STEPS


def parameters_of(model: str, pipeline: Pipeline, weights: str) -> dict[str, str]:
    """Return the parameters that `build` needs for this model."""
    every = model_parameters(pipeline)
    own = CATALOGUE[model].own_parameters
    if not own:
        return every | {"weights": weights}
    every |= {"embedding_dim": str(pipeline.config.embedding.dim)}
    return {name: every[name] for name in own if name in every}


def build(model: str, settings: ModelSettings) -> ServedModel:
    """Build the model of this name, ready to be called.

    Raises
    ------
    WeightsError, PipelineConfigError
        If its parameters are missing, wrong, or belong to other weights.
    """
    return CATALOGUE[model].build(settings)


def served_model(
    model: str,
    pipeline: Pipeline,
    parameters: Mapping[str, str],
    clock: StageClock | None = None,
) -> ServedModel:
    """Return the model of this name over a pipeline that is loaded already."""
    settings = ModelSettings(
        parameters=parameters,
        folder=Path(),
        device=pipeline.device,
        clock=clock,
        loaded=pipeline,
    )
    return build(model, settings)


def served_models(
    pipeline: Pipeline, clock: StageClock | None = None
) -> tuple[ServedModel, ...]:
    """Return all of `WHOLE`: ``exatrkx`` (one event), ``exatrkx_batch`` (several).

    Parameters
    ----------
    pipeline : Pipeline
        May be called from several threads at once.
    clock : StageClock, optional
        Receives the time of each stage, summed over all requests.
    """
    parameters = model_parameters(pipeline)
    return tuple(served_model(name, pipeline, parameters, clock) for name in WHOLE)


N_ROWS = 2  # of each tensor: two equal points make one edge

LOCK_FOLDER = Path(tempfile.gettempdir()) / f"sonic-tracking-{os.getuid()}"
"""Of this machine, because each compiles for its own processor; one for each user."""

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
    lock = FileLock(LOCK_FOLDER / "warm-up.lock") if _has_lock_folder() else None
    with lock or nullcontext():
        model.function(tensors)
        if model.for_denser is not None:
            model.for_denser(tensors)


def _has_lock_folder() -> bool:
    """Whether the folder is there and nobody else can put links into it.

    Everyone may write to its parent. If another user was there first, processes that
    start together compile at the same time, and nothing else is different.
    """
    try:
        LOCK_FOLDER.mkdir(mode=0o700, exist_ok=True)
        found = LOCK_FOLDER.lstat()
    except OSError:
        return False
    is_own_folder = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return is_own_folder and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
