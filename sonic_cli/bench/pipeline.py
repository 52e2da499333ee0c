"""The pipeline alone, stage by stage: cost against size, and against baselines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline import Pipeline, StageClock, bundled_weights, load_weights
from exatrkx_pipeline.neighbours import radius_graph
from producers import FeatureScale
from sonic_cli.bench.baselines import graph_times, has_faiss, scripted_times
from sonic_cli.bench.events import Features, local_files, read_features
from sonic_cli.bench.machine import describe_machine
from sonic_cli.bench.overlay import overlaid
from sonic_cli.bench.pipeline_plot import plot_pipeline
from sonic_cli.jobs.memory import peak_memory_bytes
from sonic_cli.jobs.stage_edges import feature_scale
from sonic_cli.outputs import check_outputs, whole_path, write_json
from sonic_cli.progress import Report, progress

__all__ = [
    "BASELINE_HEADER",
    "HEADER",
    "PipelineBench",
    "PipelineReport",
    "SizeCost",
    "run_pipeline_bench",
]

HEADER = ("points", "edges", "total", "per edge", "events/s", "peak memory", "most in")
BASELINE_HEADER = ("stage", "ours", "baseline", "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineBench:
    """What `sonic bench pipeline` was asked for; see its options."""

    files: tuple[str, ...]
    sizes: tuple[int, ...]
    weights: Path | None = None
    max_events: int | None = None
    csv_scale: FeatureScale | None = None
    threads: int = 1
    baseline_points: int = 30_000
    seed: int = 1
    json: Path | None = None
    plot: Path | None = None
    force: bool = False
    command: str = "sonic bench pipeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCost:
    """One event of a size, after a smaller one to warm up."""

    n_points: int
    n_radius_edges: int
    n_filtered_edges: int
    stages_s: dict[str, float]
    total_s: float
    peak_memory_bytes: int
    """Of the process so far: sizes ascend."""

    def row(self) -> tuple[str, ...]:
        """One row of a table: see `HEADER`."""
        slowest = max(self.stages_s, key=self.stages_s.__getitem__)
        per_edge = self.total_s / max(self.n_radius_edges, 1)
        return (
            f"{self.n_points:,}",
            f"{self.n_radius_edges:,}",
            f"{self.total_s:.3f} s",
            f"{per_edge * 1e6:.2f} us",
            f"{1 / self.total_s:.1f}",
            f"{self.peak_memory_bytes / 1e9:.2f} GB",
            f"{slowest} {self.stages_s[slowest] / self.total_s:.0%}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineReport:
    """All figures, and what they were made with."""

    command: str
    machine: dict[str, Any]
    weights_id: str
    threads: int
    sizes: tuple[SizeCost, ...]
    baselines: dict[str, dict[str, float]]
    """Seconds of a stage by ours and by the other way, by stage: ``neighbours`` (if
    faiss is installed), ``filter``, ``gnn``."""

    batch: dict[str, float]
    """Events per second of the events as they came, ``one_by_one`` and ``together``."""

    def baseline_rows(self) -> list[tuple[str, ...]]:
        """Rows of a table: see `BASELINE_HEADER`."""
        rows: list[tuple[str, ...]] = []
        for stage, times in self.baselines.items():
            other = "faiss" if "faiss_s" in times else "scripted"
            other_s = times[f"{other}_s"]
            rows.append(
                (
                    stage,
                    f"{times['ours_s']:.3f} s",
                    f"{other_s:.3f} s ({other})",
                    f"{other_s / times['ours_s']:.1f}",
                )
            )
        return rows

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def run_pipeline_bench(job: PipelineBench) -> PipelineReport:
    """Measure each size, the baselines, and batches.

    Raises
    ------
    ConfigError, DataError
        If a setting, an input or an output is wrong.
    WeightsError
        If the weights cannot be used.
    ValueError
        If an event is too dense for the weights.
    """
    check_outputs(
        {"--json": job.json, "--plot": job.plot},
        inputs=local_files(job.files),
        force=job.force,
    )
    machine = describe_machine()
    pipeline = load_weights(job.weights or bundled_weights())
    features = read_features(
        job.files,
        feature_scale(pipeline),
        max_events=job.max_events,
        csv_scale=job.csv_scale,
    )
    threads_before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        with progress("bench", len(job.sizes) + 2, unit="steps") as report:
            sizes = tuple(_costs(job, pipeline, features, report))
            baselines = _baselines(job, pipeline, features)
            report(len(job.sizes) + 1, "baselines")
            batch = _batch(pipeline, features)
            report(len(job.sizes) + 2, "batch")
    finally:
        torch.set_num_threads(threads_before)
    result = PipelineReport(
        command=job.command,
        machine=machine,
        weights_id=pipeline.weights_id,
        threads=job.threads,
        sizes=sizes,
        baselines=baselines,
        batch=batch,
    )
    if job.json is not None:
        write_json(job.json, result.to_dict())
    if job.plot is not None:
        with whole_path(job.plot) as partial:
            plot_pipeline(result.sizes, partial)
    return result


def _costs(
    job: PipelineBench, pipeline: Pipeline, features: Features, report: Report
) -> Iterator[SizeCost]:
    pipeline.labels(features[0])
    for n_done, n_points in enumerate(job.sizes, start=1):
        event = _event(job, pipeline, features, n_points)
        clock, start = StageClock(), time.perf_counter()
        pipeline.labels(event, clock)
        total_s = time.perf_counter() - start
        yield SizeCost(
            n_points=n_points,
            n_radius_edges=clock.counts["radius_edges"],
            n_filtered_edges=clock.counts["filtered_edges"],
            stages_s=dict(clock.seconds),
            total_s=total_s,
            peak_memory_bytes=peak_memory_bytes(),
        )
        report(n_done, f"{n_points:,} space points: {total_s:.2f} s")


def _event(
    job: PipelineBench, pipeline: Pipeline, features: Features, n_points: int
) -> NDArray[np.float32]:
    phi_scale = pipeline.config.features.scales[1]
    return overlaid(features, n_points, phi_scale, np.random.default_rng(job.seed))


def _baselines(
    job: PipelineBench, pipeline: Pipeline, features: Features
) -> dict[str, dict[str, float]]:
    event = _event(job, pipeline, features, job.baseline_points)
    points = pipeline.ordered(event)[1]
    embedded, r_val = pipeline.embed(points).numpy(), pipeline.config.graph.r_val
    times = {}
    if has_faiss():
        times["neighbours"] = graph_times(embedded, r_val)
    if not pipeline.has_script:
        edges = torch.from_numpy(radius_graph(embedded, r_val))
        times["filter"] = scripted_times(pipeline, points, "filter", edges)
        kept = pipeline.above_cut(points, edges)
        times["gnn"] = scripted_times(pipeline, points, "gnn", kept)
    return times


def _batch(pipeline: Pipeline, features: Features) -> dict[str, float]:
    start = time.perf_counter()
    for event in features:
        pipeline.labels(event)
    between = time.perf_counter()
    pipeline.labels_of(features)
    end = time.perf_counter()
    return {
        "one_by_one": len(features) / (between - start),
        "together": len(features) / (end - between),
    }
