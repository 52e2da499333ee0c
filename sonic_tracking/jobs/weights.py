"""A weights directory out of the files of the paper's kind."""

from __future__ import annotations

import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.checkpoints import (
    CONFIG_FILE,
    TENSOR_FILE,
    read_weights_config,
    save_weights,
    weights_files,
)
from exatrkx_pipeline.config import (
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    TrackBuildingConfig,
    config_from_dict,
)
from exatrkx_pipeline.importing import Cuts, import_networks
from exatrkx_pipeline.repository import MODELS, plan_repository, write_repository
from exatrkx_pipeline.repository.plan import Device
from producers.model.errors import OutputError
from sonic_client import ConfigError
from sonic_tracking.outputs import RefusedOutputError

__all__ = [
    "ImportJob",
    "RepositoryJob",
    "check_folder",
    "run_import",
    "run_repository",
    "write_weights",
]

TABLES = ("features", "graph", "filter", "gnn", "track_building")


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
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot read: {error.strerror}") from error
    except ValueError as error:  # bad TOML or bad UTF-8
        raise ConfigError(f"{file}: not a TOML file: {error}") from error
    unknown = sorted(document.keys() - set(TABLES))
    if unknown:
        raise ConfigError(
            f"{file}: unknown tables {', '.join(unknown)}; known are "
            f"{', '.join(TABLES)}"
        )
    return Cuts(
        features=config_from_dict(
            FeatureConfig, _table(document, file, "features"), "features"
        ),
        graph=config_from_dict(GraphConfig, _table(document, file, "graph"), "graph"),
        filter_cut=_value(_table(document, file, "filter"), file, "filter_cut", float),
        track_building=config_from_dict(
            TrackBuildingConfig,
            _table(document, file, "track_building"),
            "track_building",
        ),
        n_graph_iters=(
            _value(_table(document, file, "gnn"), file, "n_graph_iters", int)
            if "gnn" in document
            else None
        ),
    )


# Any: TOML values of several kinds.
def _table(document: dict[str, Any], file: Path, name: str) -> dict[str, Any]:
    if not isinstance(document.get(name), dict):
        raise ConfigError(f"{file}: lacks table [{name}]")
    table: dict[str, Any] = document[name]
    return table


def _value(table: dict[str, Any], file: Path, name: str, kind: type) -> Any:
    if set(table) != {name} or not isinstance(table[name], kind):
        raise ConfigError(
            f"{file}: expected {name} = a {kind.__name__} and nothing else in its "
            f"table, got {table}"
        )
    return table[name]


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
