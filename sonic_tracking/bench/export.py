"""Events written for perf_analyzer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exatrkx_pipeline import bundled_weights, load_weights
from producers import FeatureScale
from sonic_tracking.bench.events import local_files, read_features
from sonic_tracking.bench.perf_analyzer import input_document
from sonic_tracking.jobs.stage_edges import feature_scale
from sonic_tracking.outputs import check_outputs, write_json

__all__ = ["PerfAnalyzerExport", "run_export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfAnalyzerExport:
    """What `sonic bench export` was asked for; see its options."""

    files: tuple[str, ...]
    output: Path
    max_events: int | None = None
    weights: Path | None = None
    csv_scale: FeatureScale | None = None
    force: bool = False


def run_export(job: PerfAnalyzerExport) -> int:
    """Write the events; how many there are.

    Raises
    ------
    ConfigError, DataError
        If an input or the output is wrong.
    WeightsError
        If the weights, whose scales are needed, cannot be used.
    """
    check_outputs(
        {"--output": job.output}, inputs=local_files(job.files), force=job.force
    )
    features = read_features(
        job.files,
        feature_scale(load_weights(job.weights or bundled_weights())),
        max_events=job.max_events,
        csv_scale=job.csv_scale,
    )
    write_json(job.output, input_document(features))
    return len(features)
