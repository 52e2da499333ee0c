"""A weights directory out of the files of the paper's kind."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exatrkx_pipeline.config import (
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    TrackBuildingConfig,
    config_from_dict,
)
from exatrkx_pipeline.weights.importing import Cuts, import_networks
from exatrkx_pipeline.weights.storage import read_weights_config
from sonic_client import ConfigError
from sonic_tracking.jobs.weights_folder import check_folder, write_weights

__all__ = ["ImportJob", "run_import"]

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
