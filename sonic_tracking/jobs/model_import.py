"""A weights directory out of the files of the paper's kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exatrkx_pipeline.checkpoints import read_weights_config
from exatrkx_pipeline.config import (
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.importing import Cuts, import_networks
from sonic_base import config_from_mapping, toml_content
from sonic_tracking.jobs.weights_folder import check_folder, write_weights

__all__ = ["ImportJob", "run_import"]


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
