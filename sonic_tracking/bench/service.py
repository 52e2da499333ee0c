"""Throughput and latency of a service, as in the paper's figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from exatrkx_pipeline import bundled_weights, load_weights
from producers import FeatureScale
from sonic_tracking.bench.events import Features, local_files, read_features
from sonic_tracking.bench.machine import describe_machine
from sonic_tracking.bench.served import ServerTimes, measure_direct, measure_served
from sonic_tracking.bench.service_report import (
    DIRECT,
    Measurement,
    ScanPoint,
    plot_service,
)
from sonic_tracking.engines.choice import Engine, EngineName, engine_of
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.engines.triton import written_repository
from sonic_tracking.outputs import Json, check_outputs, write_json
from sonic_tracking.progress import Report, progress_bar

__all__ = ["ServiceBench", "ServiceScan", "run_service_bench"]


START_LIMIT_S = 300.0
"""All instances of all models load at once, each in a process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBench:
    """The options of `sonic bench service`."""

    files: tuple[str, ...]
    points: tuple[ScanPoint, ...]
    engine: EngineName = "triton"
    weights: Path | None = None
    max_events: int | None = None
    columns: Path | None = None
    unit: str | None = None
    csv_scale: FeatureScale | None = None
    passes: int = 3
    threads: int = 1
    gpu: bool = False
    python: Path | None = None
    json: Path | None = None
    plot: Path | None = None
    force: bool = False
    command: str = "sonic bench service"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceScan:
    """All measurements of a scan, with the command and the machine."""

    command: str
    engine: str
    machine: Json
    n_events: int
    n_space_points: int
    measurements: tuple[Measurement, ...]

    def to_dict(self) -> Json:
        """Return plain values for JSON."""
        return {
            "command": self.command,
            "engine": self.engine,
            "machine": self.machine,
            "events": self.n_events,
            "space_points": self.n_space_points,
            "measurements": [each.to_dict() for each in self.measurements],
        }


def run_service_bench(job: ServiceBench) -> ServiceScan:
    """Measure every point, with one server for each number of instances.

    Raises
    ------
    ConfigError, DataError
        If a setting, an input or an output is wrong.
    WeightsError
        If the weights cannot be used.
    SonicError
        If the server does not come up, or fails an event.
    """
    check_outputs(
        {"--json": job.json, "--plot": job.plot},
        inputs=local_files(job.files),
        force=job.force,
    )
    machine = describe_machine()
    weights = job.weights or bundled_weights()
    features = read_features(
        job.files,
        load_weights(weights).config.features.scales,
        max_events=job.max_events,
        columns=job.columns,
        unit=job.unit,
        csv_scale=job.csv_scale,
    )
    with progress_bar("bench", len(job.points), unit="points") as report:
        measurements = tuple(_measured(job, features, weights, report))
    scan = ServiceScan(
        command=job.command,
        engine=job.engine,
        machine=machine,
        n_events=len(features),
        n_space_points=sum(map(len, features)),
        measurements=measurements,
    )
    if job.json is not None:
        write_json(job.json, scan.to_dict())
    if job.plot is not None:
        plot_service(scan.measurements, job.plot)
    return scan


def _measured(
    job: ServiceBench, features: Features, weights: Path, report: Report
) -> Iterator[Measurement]:
    n_done = 0
    report(n_done)
    for instances, group in groupby(job.points, key=lambda point: point.instances):
        points = list(group)
        served = [point for point in points if point.model != DIRECT]
        with ExitStack() as stack:
            if served:
                server = stack.enter_context(
                    _server(job, instances, {point.model for point in served})
                )
            for point in points:
                if point.model == DIRECT:
                    continue
                yield _measure(job, point, features, server)
                n_done += 1
                report(n_done, f"{point.model}, {instances} instances")
        # Without a server, which would use memory and poll.
        for point in set(points) - set(served):
            yield measure_direct(
                point,
                features,
                weights,
                n_passes=job.passes,
                device="cuda:0" if job.gpu else "cpu",
            )
            n_done += 1
            report(n_done, f"direct, {instances} threads")


def _measure(
    job: ServiceBench, point: ScanPoint, features: Features, server: Engine
) -> Measurement:
    return measure_served(
        point,
        features,
        server.url,
        n_passes=job.passes,
        server=getattr(server, "pid", None),
        times=ServerTimes(server.url, getattr(server, "metrics_url", None)),
    )


@contextmanager
def _server(
    job: ServiceBench, instances: int, models: Iterable[str]
) -> Iterator[Engine]:
    settings = EngineSettings(
        models=tuple(sorted(models)),
        weights=job.weights,
        instances=instances,
        threads=job.threads,
        gpu=job.gpu,
        start_limit_s=START_LIMIT_S,
    )
    with ExitStack() as stack:
        if job.engine == "triton":
            settings = replace(settings, python=job.python)
        else:  # the mock serves the ensemble only from a repository
            repository = written_repository(
                settings.models, job.weights, instances=instances, gpu=False
            )
            settings = replace(
                settings, weights=None, repository=stack.enter_context(repository)
            )
        yield stack.enter_context(engine_of(job.engine, settings))
