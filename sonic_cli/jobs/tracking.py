"""Tracks out of files, through a client and a server, into a file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from producers import (
    ColumnMapping,
    EventLoop,
    EventSource,
    FeatureScale,
    LoopTimes,
    TrackFindingProducer,
    TrackWriter,
    open_events,
)
from sonic_cli.jobs.memory import peak_memory_bytes
from sonic_cli.jobs.server import ServerInUse, tracking_server
from sonic_cli.outputs import check_outputs, write_json
from sonic_cli.progress import progress
from sonic_client import (
    Client,
    ClientConfig,
    ConfigError,
    JobSummary,
    ModelMetadata,
    WindowConfig,
)
from sonic_client.config import Layout

__all__ = ["TrackingJob", "TrackingReport", "parse_scale", "run_tracking"]

DEFAULT_MODELS: dict[Layout, str] = {"per_event": "exatrkx", "concat": "exatrkx_batch"}
OWN_SERVER_DEADLINE_S = 7 * 86_400.0
"""A server in this process is as alive as the job: there is nothing to give up for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingJob:
    """What `sonic track` was asked for; see its options."""

    files: tuple[Path, ...]
    output: Path
    server: str | None = None
    model: str | None = None
    layout: Layout = "per_event"
    window: int = WindowConfig().max_requests
    deadline_s: float | None = None
    max_events: int | None = None
    min_space_points: int = 3
    columns: ColumnMapping | None = None
    csv_scale: FeatureScale | None = None
    weights: Path | None = None
    json: Path | None = None
    force: bool = False
    command: str = "sonic track"

    def client_config(self, server: ServerInUse) -> ClientConfig:
        """Settings of the client for this job at a server."""
        config = ClientConfig(
            server=server.url,
            model_name=self.model or DEFAULT_MODELS[self.layout],
            layout=self.layout,
            window=WindowConfig(max_requests=self.window),
        )
        default_s = OWN_SERVER_DEADLINE_S if server.is_own else config.deadline_s
        deadline_s = default_s if self.deadline_s is None else self.deadline_s
        return replace(config, deadline_s=deadline_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingReport:
    """What a job found, and where its time and memory went."""

    output: Path
    n_candidates: int
    summary: JobSummary
    times: LoopTimes
    start_s: float
    """Until the server was up and the client connected."""

    close_s: float
    """For the last block of the output."""

    stage_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds in each stage of the pipeline, summed over its threads; empty if the
    server was elsewhere."""

    peak_memory_bytes: int

    @property
    def loop_s(self) -> float:
        """Seconds from the first read to the end of the last write."""
        times = self.times
        spent = times.read_s + times.acquire_s + times.wait_s + times.produce_s
        return spent + self.write_s

    @property
    def write_s(self) -> float:
        """Seconds in the writer."""
        return self.times.write_s + self.close_s

    @property
    def events_per_s(self) -> float:
        """Events per second of the loop, the server's start left out."""
        return self.times.events / self.loop_s if self.loop_s > 0.0 else 0.0

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        times = self.times
        return {
            "output": str(self.output),
            "events": times.events,
            "failed_events": times.failed_events,
            "space_points": times.space_points,
            "candidates": self.n_candidates,
            "events_per_s": self.events_per_s,
            "time_s": {
                "start": self.start_s,
                "read": times.read_s,
                "acquire": times.acquire_s,
                "wait": times.wait_s,
                "produce": times.produce_s,
                "write": self.write_s,
            },
            "compute_s": dict(self.stage_s) or None,
            "peak_memory_bytes": self.peak_memory_bytes,
            "summary": self.summary.to_dict(),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, ready for a table."""
        times = self.times
        parts = {
            "read": times.read_s,
            "acquire": times.acquire_s,
            "wait": times.wait_s,
            "produce": times.produce_s,
            "write": self.write_s,
        }
        rows = [
            ("track candidates", f"{self.n_candidates} in {times.events} events"),
            *self.summary.rows(),
            ("events per second", f"{self.events_per_s:.3g}, start-up left out"),
            ("time", _shares(parts)),
        ]
        if self.stage_s:
            rows.append(("compute", _shares(self.stage_s)))
        rows += [
            ("peak memory", f"{self.peak_memory_bytes / 1e6:.0f} MB"),
            ("written", str(self.output)),
        ]
        return rows


def _shares(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())


def parse_scale(text: str | None) -> FeatureScale | None:
    """The divisors of csv features, from ``r,phi,z`` in mm, rad, mm.

    Raises
    ------
    ConfigError
        If it is not three positive numbers.
    """
    if text is None:
        return None
    try:
        r_mm, phi_rad, z_mm = map(float, text.split(","))
    except ValueError as error:
        raise ConfigError(
            "--csv-scale: expected three numbers R,PHI,Z in mm, rad, mm, such as "
            f"1000,3.14159265,1000, got {text!r}"
        ) from error
    return FeatureScale(r_mm=r_mm, phi_rad=phi_rad, z_mm=z_mm)


def run_tracking(job: TrackingJob) -> TrackingReport:
    """Find the tracks of all events and write them.

    Raises
    ------
    ConfigError
        If a setting is wrong, or the server's model cannot find tracks.
    DataError
        If an input is wrong, or an output must not or cannot be written.
    SonicError
        If the server cannot be reached or fails an event.
    WeightsError
        If the weights for the in-process server cannot be used.
    """
    started = time.perf_counter()
    check_outputs(
        {"--output": job.output, "--json": job.json}, inputs=job.files, force=job.force
    )
    source = open_events(
        job.files,
        columns=job.columns,
        csv_scale=job.csv_scale,
        max_events=job.max_events,
    )
    with ExitStack() as stack:
        server = stack.enter_context(tracking_server(job.server, job.weights))
        client = stack.enter_context(Client(job.client_config(server)))
        producer = TrackFindingProducer(
            client.metadata, min_space_points=job.min_space_points
        )
        loop = EventLoop(source, producer, client)
        provenance = _provenance(job, source, client.metadata, server)
        running = time.perf_counter()
        with TrackWriter(job.output, provenance, force=job.force) as writer:
            n_candidates = _write_all(loop, writer, len(source))
            closing = time.perf_counter()
        report = TrackingReport(
            output=job.output,
            n_candidates=n_candidates,
            summary=client.summary(),
            times=loop.times(),
            start_s=running - started,
            close_s=time.perf_counter() - closing,
            stage_s={} if server.clock is None else dict(server.clock.seconds),
            peak_memory_bytes=peak_memory_bytes(),
        )
    if job.json is not None:
        write_json(job.json, {"command": job.command, **report.to_dict()})
    return report


# Any: the loop's producer decides the type of its products.
def _write_all(loop: EventLoop[Any], writer: TrackWriter, n_events: int) -> int:
    n_candidates = 0
    with progress("track", n_events, unit="events") as report:
        for done, (event, candidates) in enumerate(loop.run(), start=1):
            writer.write(event, candidates)
            n_candidates += len(candidates)
            report(done)
    return n_candidates


def _provenance(
    job: TrackingJob, source: EventSource, model: ModelMetadata, server: ServerInUse
) -> dict[str, Any]:
    packages = ["sonic-tracking", "numpy", "uproot", "tritonclient"]
    packages += ["torch"] if server.is_own else []
    return {
        "command": job.command,
        "inputs": [str(Path(name).resolve()) for name in source.names],
        "n_events": len(source),
        "server": "in this process" if server.is_own else server.url,
        "model": {
            "name": model.name,
            "version": model.version,
            "platform": model.platform,
            "parameters": dict(model.parameters),
        },
        "weights_id": model.parameters.get("weights_id"),
        "layout": job.layout,
        "columns": job.columns and _given(asdict(job.columns)),
        "csv_scale": job.csv_scale and asdict(job.csv_scale),
        "min_space_points": job.min_space_points,
        "versions": {package: version(package) for package in packages},
    }


def _given(columns: Mapping[str, str | None]) -> dict[str, str]:
    return {kind: name for kind, name in columns.items() if name is not None}
