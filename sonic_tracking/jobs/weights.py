"""A weights directory out of the files of the paper's kind."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.config import (
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.repository import (
    MODELS,
    Device,
    plan_repository,
    write_repository,
)
from exatrkx_pipeline.weights.importing import Cuts, import_networks
from exatrkx_pipeline.weights.storage import (
    CONFIG_FILE,
    TENSOR_FILE,
    read_weights_config,
    save_weights,
    weights_files,
)
from producers.model.errors import OutputError
from sonic_base import config_from_mapping, toml_content
from sonic_tracking.outputs import RefusedOutputError

__all__ = [
    "ImportJob",
    "RepositoryJob",
    "check_folder",
    "run_import",
    "run_repository",
    "write_weights",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilterTable:
    filter_cut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _GnnTable:
    n_graph_iters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _CutsFile:
    """The tables of the configuration file."""

    features: FeatureConfig
    graph: GraphConfig
    filter: _FilterTable
    track_building: TrackBuildingConfig
    gnn: _GnnTable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """What `sonic models import` was asked for; see its options."""

    embed: Path
    filter: Path
    gnn: Path
    config: Path
    output: Path
    force: bool = False


def run_import(job: ImportJob) -> list[tuple[str, str]]:
    """Write the weights directory; what became of each network, in rows.

    Raises
    ------
    ConfigError, PipelineConfigError
        If the configuration lacks a cut or a scale, or has a wrong one.
    WeightsError
        If a file holds no such network.
    RefusedOutputError, OutputError
        If the output is there already, or cannot be written.
    """
    check_folder(job.output, force=job.force)
    cuts = _read_cuts(job.config)
    pipeline = import_networks(job.embed, job.filter, job.gnn, cuts)
    files = {"embed": job.embed, "filter": job.filter, "gnn": job.gnn}
    write_weights(
        job.output,
        pipeline,
        training={"imported": {part: file.name for part, file in files.items()}},
        scores={},
    )
    is_own = isinstance(pipeline.config.gnn, GnnConfig)
    return [
        ("embed", "TorchScript, run as it is"),
        ("filter", "TorchScript, run as it is"),
        ("gnn", "ResAGNN, our own" if is_own else "TorchScript, run as it is"),
        ("weights", f"{read_weights_config(job.output)['weights_id']} in {job.output}"),
    ]


def _read_cuts(file: Path) -> Cuts:
    read = config_from_mapping(_CutsFile, toml_content(file), where=str(file))
    return Cuts(
        features=read.features,
        graph=read.graph,
        filter_cut=read.filter.filter_cut,
        track_building=read.track_building,
        n_graph_iters=None if read.gnn is None else read.gnn.n_graph_iters,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryJob:
    """What `sonic repository` was asked for; see its options."""

    output: Path
    weights: Path | None = None
    models: tuple[str, ...] = MODELS
    instances: int = 1
    device: Device = "cpu"
    force: bool = False


def run_repository(job: RepositoryJob) -> list[tuple[str, str]]:
    """Write the models; what was written, in rows for a table.

    Raises
    ------
    PipelineConfigError
        If there is no such model.
    WeightsError
        If the weights cannot be used.
    RefusedOutputError
        If a model is there already, and `force` is not set.
    OutputError
        If the folder cannot be written.
    """
    plans = plan_repository(
        job.models,
        weights=job.weights,
        instances=job.instances,
        device=job.device,
    )
    there = [plan.name for plan in plans if (job.output / plan.name).exists()]
    if there and not job.force:
        raise RefusedOutputError(
            f"{job.output}: has {', '.join(there)} already; --force replaces them"
        )
    if not job.output.resolve().parent.is_dir():
        raise OutputError(
            job.output, f"folder {str(job.output.parent)!r} does not exist"
        )
    try:
        write_repository(job.output, plans, job.weights)
    except OSError as error:
        raise OutputError(
            job.output, f"cannot write: {error.strerror or error}"
        ) from error
    return [
        *((plan.name, "ensemble" if plan.steps else plan.device) for plan in plans),
        ("written", str(job.output)),
    ]


FILES = (TENSOR_FILE, CONFIG_FILE)
"""What every weights directory has."""


def check_folder(output: Path, *, force: bool) -> None:
    """Refuse a folder now, rather than after hours of training.

    Raises
    ------
    RefusedOutputError
        If it has weights and `force` is not set.
    OutputError
        If it is a file, or its parent does not exist.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(output, "is a file, expected a folder for the weights")
    if not output.resolve().parent.is_dir():
        raise OutputError(output, f"folder {str(output.parent)!r} does not exist")
    if not force and any((output / name).exists() for name in FILES):
        raise RefusedOutputError(
            f"{output}: has weights already; --force replaces them"
        )


# Any: TOML values of several kinds.
def write_weights(
    output: Path,
    pipeline: Pipeline,
    *,
    training: dict[str, Any],
    scores: dict[str, Any],
) -> None:
    """Write a weights directory, made if it does not exist; old weights stay till then.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    parent = output.resolve().parent
    try:
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=parent) as folder:
            made = save_weights(
                Path(folder), pipeline, training=training, scores=scores
            )
            output.mkdir(exist_ok=True)
            for file in weights_files(made):
                file.replace(output / file.name)
    except OSError as error:
        raise OutputError(output, f"cannot write: {error.strerror}") from error
