"""The pipeline alone: rate of the events, cost against size, and baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline import Pipeline, StageClock, bundled_weights, load_weights
from exatrkx_pipeline.graph import radius_graph
from producers import FeatureScale
from producers.io import write_whole
from sonic_tracking.bench.baselines import (
    GRAPH_SEARCHES,
    faiss_flat_graph,
    graph_times,
    has_faiss,
    scripted_times,
)
from sonic_tracking.bench.events import Features, local_files, overlaid, read_features
from sonic_tracking.bench.machine import describe_machine
from sonic_tracking.bench.pipeline_report import (
    Baseline,
    EventRate,
    PipelineReport,
    SizeCost,
    plot_pipeline,
)
from sonic_tracking.memory import with_peak_memory
from sonic_tracking.outputs import check_outputs, write_json
from sonic_tracking.progress import Report, progress_bar

__all__ = ["PipelineBench", "event_rates", "run_pipeline_bench", "torch_threads"]

MOST_EDGES = 1_000_000_000
"""Replaces the pipeline's limits, because the user chooses the sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineBench:
    """The options of `sonic bench pipeline`."""

    files: tuple[str, ...]
    sizes: tuple[int, ...]
    workers: tuple[int, ...] = (1, 2)
    weights: Path | None = None
    max_events: int | None = None
    columns: Path | None = None
    unit: str | None = None
    csv_scale: FeatureScale | None = None
    threads: int = 1
    baseline_points: int = 30_000
    seed: int = 1
    json: Path | None = None
    markdown: Path | None = None
    plot: Path | None = None
    force: bool = False
    command: str = "sonic bench pipeline"


def run_pipeline_bench(job: PipelineBench) -> PipelineReport:
    """Measure the rate of the events, the cost of each size, and the baselines.

    Raises
    ------
    ConfigError, DataError
        If a setting, an input or an output is wrong.
    WeightsError
        If the weights cannot be used.
    """
    check_outputs(
        {"--json": job.json, "--markdown": job.markdown, "--plot": job.plot},
        inputs=local_files(job.files),
        force=job.force,
    )
    machine = describe_machine()
    pipeline = replace(
        load_weights(job.weights or bundled_weights()),
        max_radius_edges=MOST_EDGES,
        max_edges=MOST_EDGES,
    )
    features = read_features(
        job.files,
        pipeline.config.features.scales,
        max_events=job.max_events,
        columns=job.columns,
        unit=job.unit,
        csv_scale=job.csv_scale,
    )
    with progress_bar("bench", len(job.sizes) + 2, unit="steps") as report:
        rates = tuple(event_rates(pipeline, features, job.workers))
        report(1, "events as they are")
        with torch_threads(job.threads):
            sizes = tuple(_costs(job, pipeline, features, report))
            baselines = tuple(_baselines(job, pipeline, features))
        report(len(job.sizes) + 2, "baselines")
    result = PipelineReport(
        command=job.command,
        machine=machine,
        weights_id=pipeline.weights_id,
        threads=job.threads,
        rates=rates,
        sizes=sizes,
        baseline_points=job.baseline_points,
        baselines=baselines,
    )
    _write(job, result)
    return result


def _costs(
    job: PipelineBench, pipeline: Pipeline, features: Features, report: Report
) -> Iterator[SizeCost]:
    for n_done, n_points in enumerate(job.sizes, start=2):
        event = _event(job, pipeline, features, n_points)
        clock = StageClock()
        start, cpu_start = time.perf_counter(), time.process_time()
        _, peak = with_peak_memory(lambda: pipeline.labels(event, clock))  # noqa: B023
        total_s = time.perf_counter() - start
        cpu_s = time.process_time() - cpu_start
        yield SizeCost(
            n_points=n_points,
            n_radius_edges=clock.counts["radius_edges"],
            n_filtered_edges=clock.counts["filtered_edges"],
            stages_s=dict(clock.seconds),
            total_s=total_s,
            cpu_s=cpu_s,
            peak_memory_bytes=peak,
        )
        report(n_done, f"{n_points:,} space points: {total_s:.2f} s")


def _event(
    job: PipelineBench, pipeline: Pipeline, features: Features, n_points: int
) -> NDArray[np.float32]:
    phi_scale = pipeline.config.features.scales[1]
    return overlaid(features, n_points, phi_scale, np.random.default_rng(job.seed))


def _baselines(
    job: PipelineBench, pipeline: Pipeline, features: Features
) -> Iterator[Baseline]:
    event = _event(job, pipeline, features, job.baseline_points)
    points = pipeline.ordered(event)[1]
    embedded, r_val = pipeline.embed(points).numpy(), pipeline.config.graph.r_val
    for name, search in GRAPH_SEARCHES.items():
        if search is faiss_flat_graph and not has_faiss():
            continue
        times = graph_times(embedded, r_val, search)
        yield Baseline(
            stage="neighbours",
            name=name,
            ours_s=times["ours_s"],
            baseline_s=times["other_s"],
            difference=times["missing_edges"],
        )
    if pipeline.has_script:
        return
    edges = torch.from_numpy(radius_graph(embedded, r_val))
    for stage in ("filter", "gnn"):
        times = scripted_times(pipeline, points, stage, edges)
        yield Baseline(
            stage=stage,
            name="the same network from TorchScript",
            ours_s=times["ours_s"],
            baseline_s=times["scripted_s"],
            difference=times["difference"],
        )
        edges = pipeline.above_cut(points, edges)


def _write(job: PipelineBench, result: PipelineReport) -> None:
    if job.json is not None:
        write_json(job.json, result.to_dict())
    if job.markdown is not None:
        write_whole(job.markdown, result.markdown().encode())
    if job.plot is not None:
        plot_pipeline(result, job.plot)


T = TypeVar("T")

PASSES = 3
LONG_PASS_S = 5.0
"""A longer pass is not repeated."""


def event_rates(
    pipeline: Pipeline, features: Features, threads: Sequence[int]
) -> Iterator[EventRate]:
    """Measure each way with each number of threads, after an event to warm up.

    One by one: all threads compute one event, as an instance of a server does with
    single requests. Side by side: each thread computes whole events, as in an
    event-processing framework. In one batch: all events in one call.
    """
    seconds_of = partial(_seconds, pipeline.labels)
    for n_threads in threads:
        with torch_threads(n_threads):
            seconds_of(features[0])
            yield _rate(
                "one by one",
                n_threads,
                features,
                lambda: list(map(seconds_of, features)),
            )
    for n_threads in threads:
        if n_threads == 1:  # the same as one by one
            continue
        with torch_threads(1), ThreadPoolExecutor(n_threads) as workers:
            list(workers.map(pipeline.labels, features[:n_threads]))
            yield _rate(
                "side by side",
                n_threads,
                features,
                lambda: list(workers.map(seconds_of, features)),
            )
    for n_threads in threads:
        with torch_threads(n_threads):
            rate = _rate(
                "in one batch",
                n_threads,
                features,
                lambda: [_seconds(pipeline.labels_of, features)],
            )
            yield replace(rate, p50_s=None, p95_s=None)


def _rate(
    way: str, n_threads: int, features: Features, run: Callable[[], list[float]]
) -> EventRate:
    """Return the rate of the best pass over the events; `run` returns the latencies."""
    passes_s: list[float] = []
    cpu_s: list[float] = []
    latencies: list[float] = []
    while len(passes_s) < PASSES and max(passes_s, default=0.0) < LONG_PASS_S:
        start, cpu_start = time.perf_counter(), time.process_time()
        latencies += run()
        passes_s.append(time.perf_counter() - start)
        cpu_s.append(time.process_time() - cpu_start)
    return EventRate(
        way=way,
        threads=n_threads,
        events_per_s=len(features) / min(passes_s),
        cpu_s=min(cpu_s) / len(features),
        p50_s=float(np.quantile(latencies, 0.5)),
        p95_s=float(np.quantile(latencies, 0.95)),
    )


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch compute with this many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(call: Callable[[T], object], argument: T) -> float:
    start = time.perf_counter()
    call(argument)
    return time.perf_counter() - start
