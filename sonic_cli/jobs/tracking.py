"""Tracks out of files, through a client and a server, into a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from producers import (
    ColumnMapping,
    EventLoop,
    EventSource,
    FeatureScale,
    TrackFindingProducer,
    TrackWriter,
    open_events,
)
from producers.event_loop import FailurePolicy
from producers.readers import locations
from producers.writers.track_files import choose_track_format
from sonic_cli.jobs.client_settings import ClientSettings
from sonic_cli.jobs.memory import peak_memory_bytes
from sonic_cli.jobs.partial_summary import summary_if_interrupted
from sonic_cli.jobs.server import ServerInUse, tracking_server
from sonic_cli.jobs.tracking_report import TrackingReport
from sonic_cli.outputs import check_interrupted, check_outputs, write_json
from sonic_cli.progress import progress
from sonic_client import (
    Client,
    ClientConfig,
    ConfigError,
    ModelMetadata,
)
from sonic_client.observers import ProgressMeter

__all__ = ["TrackingJob", "parse_scale", "run_tracking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingJob:
    """What `sonic track` was asked for; see its options."""

    files: tuple[str | Path, ...]
    output: Path
    input_format: str | None = None
    output_format: str | None = None
    on_failure: FailurePolicy = "raise"
    resume: bool = False
    client: ClientSettings = field(default_factory=ClientSettings)
    max_events: int | None = None
    min_space_points: int = 3
    columns: ColumnMapping | None = None
    csv_scale: FeatureScale | None = None
    weights: Path | None = None
    json: Path | None = None
    force: bool = False
    command: str = "sonic track"


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
    local = tuple(path for path in locations(job.files) if isinstance(path, Path))
    check_outputs(
        {"--output": job.output, "--json": job.json}, inputs=local, force=job.force
    )
    check_interrupted(job.output, resume=job.resume, force=job.force)
    choose_track_format(job.output, job.output_format)
    source = open_events(
        job.files,
        format=job.input_format,
        columns=job.columns,
        csv_scale=job.csv_scale,
        max_events=job.max_events,
    )
    with ExitStack() as stack:
        server, config = stack.enter_context(_server(job))
        meter = ProgressMeter()
        client = Client(config, observers=[meter])
        stack.enter_context(summary_if_interrupted(client))
        stack.enter_context(client)
        producer = TrackFindingProducer(
            client.metadata, min_space_points=job.min_space_points
        )
        running = time.perf_counter()
        with _writer(job, source, client.metadata, server) as writer:
            loop = EventLoop(
                source.between(writer.n_done),
                producer,
                client,
                sink=writer,
                on_failure=job.on_failure,
            )
            n_before = writer.n_done
            with progress("track", len(source), unit="events") as show:
                loop.process(
                    lambda n_events: show(n_before + n_events, _in_flight(meter))
                )
            closing = time.perf_counter()
        done = TrackingReport(
            output=job.output,
            n_candidates=writer.n_candidates,
            n_resumed=n_before,
            failures=writer.failures,
            summary=client.summary(),
            times=loop.times(),
            start_s=running - started,
            close_s=time.perf_counter() - closing,
            stage_s={} if server.clock is None else dict(server.clock.seconds),
            peak_memory_bytes=peak_memory_bytes(),
        )
    if job.json is not None:
        write_json(job.json, {"command": job.command, **done.to_dict()})
    return done


def _in_flight(meter: ProgressMeter) -> str:
    """Return how many requests wait for their answers, for the progress display."""
    n_in_flight = meter.progress().in_flight
    return f"{n_in_flight} in flight" if n_in_flight else ""


@contextmanager
def _server(job: TrackingJob) -> Iterator[tuple[ServerInUse, ClientConfig]]:
    """Give the server of the job, and the client's configuration for it."""
    if "servers" not in job.client.table():
        with tracking_server(None, job.weights) as own:
            yield own, job.client.config(own_server=own.url)
        return
    if job.client.fallback is None and job.weights is not None:
        raise ConfigError(
            "--weights is for the server in this process and for --fallback mock: "
            "the weights of a named server are its own"
        )
    config = replace(job.client, weights=job.weights).config()
    yield ServerInUse(url=", ".join(each.url for each in config.servers)), config


@contextmanager
def _writer(
    job: TrackingJob, source: EventSource, model: ModelMetadata, server: ServerInUse
) -> Iterator[TrackWriter]:
    """Give the writer; if the job ends early, say what it leaves."""
    provenance = _provenance(job, source, model, server)
    same = ("inputs", "n_events", "model", "columns", "csv_scale", "min_space_points")
    writer = TrackWriter(
        job.output,
        provenance,
        format=job.output_format,
        force=job.force,
        resume=job.resume,
        job={name: provenance[name] for name in same} | {"on_failure": job.on_failure},
    )
    try:
        with writer:
            yield writer
    finally:
        if writer.partial.is_dir() and writer.n_done:
            typer.echo(
                f"sonic: {writer.n_done} events are in {writer.partial}; "
                "--resume goes on from there",
                err=True,
            )


def _provenance(
    job: TrackingJob, source: EventSource, model: ModelMetadata, server: ServerInUse
) -> dict[str, Any]:
    packages = ["sonic-tracking", "numpy", "uproot", "tritonclient"]
    packages += ["torch"] if server.is_own else []
    return {
        "command": job.command,
        "inputs": [
            name if "://" in name else str(Path(name).resolve())
            for name in source.names
        ],
        "format": job.input_format,
        "n_events": len(source),
        "server": "in this process" if server.is_own else server.url,
        "model": {
            "name": model.name,
            "version": model.version,
            "platform": model.platform,
            "parameters": dict(model.parameters),
        },
        "weights_id": model.parameters.get("weights_id"),
        "layout": job.client.table().get("layout", "per_event"),
        "columns": job.columns and _given(asdict(job.columns)),
        "csv_scale": job.csv_scale and asdict(job.csv_scale),
        "min_space_points": job.min_space_points,
        "versions": {package: version(package) for package in packages},
    }


def _given(columns: Mapping[str, str | None]) -> dict[str, str]:
    return {kind: name for kind, name in columns.items() if name is not None}
