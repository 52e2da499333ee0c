"""Tracks out of files, through a client and a server, into a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import typer

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
from producers.event_loop import FailurePolicy
from producers.formats.registry import choose_track_format
from producers.io import locations
from producers.model.track_block import FailureRow
from sonic_client import (
    Client,
    ClientClosedError,
    ClientConfig,
    ConfigError,
    JobSummary,
    ModelMetadata,
)
from sonic_client.report import ProgressMeter
from sonic_tracking.commands.printing import print_rows
from sonic_tracking.distributed.config import ClusterConfig
from sonic_tracking.errors import needs_extra
from sonic_tracking.jobs.connection import ClientSettings, ServerInUse, tracking_server
from sonic_tracking.memory import peak_memory_bytes
from sonic_tracking.outputs import check_interrupted, check_outputs, write_json
from sonic_tracking.progress import progress

__all__ = [
    "TrackingJob",
    "TrackingReport",
    "open_writer",
    "parse_scale",
    "run_tracking",
    "summary_if_interrupted",
]


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
    cluster: ClusterConfig | None = None
    """Where it is done, if not in this process."""

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
    source = _source(job)
    with _server(job) as (server, config):
        track = _in_this_process if job.cluster is None else _on_cluster
        done = track(job, source, server, config)
        report = TrackingReport(
            output=job.output,
            n_candidates=done.writer.n_candidates,
            n_resumed=done.n_resumed,
            failures=done.writer.failures,
            summary=done.summary,
            times=done.times,
            start_s=done.began_s - started,
            loop_s=done.ended_s - done.began_s,
            close_s=done.closed_s - done.ended_s,
            stage_s={} if server.clock is None else dict(server.clock.seconds),
            peak_memory_bytes=max(peak_memory_bytes(), done.peak_memory_bytes),
        )
    if job.json is not None:
        write_json(job.json, {"command": job.command, **report.to_dict()})
    return report


def _source(job: TrackingJob) -> EventSource:
    """Open the input, after what can be refused without it."""
    local = tuple(path for path in locations(job.files) if isinstance(path, Path))
    check_outputs(
        {"--output": job.output, "--json": job.json}, inputs=local, force=job.force
    )
    check_interrupted(job.output, resume=job.resume, force=job.force)
    choose_track_format(job.output, job.output_format)
    return open_events(
        job.files,
        format=job.input_format,
        columns=job.columns,
        csv_scale=job.csv_scale,
        max_events=job.max_events,
    )


class _Done(NamedTuple):
    """What was done between the first event and the last, and when."""

    writer: TrackWriter
    n_resumed: int
    summary: JobSummary
    times: LoopTimes
    began_s: float
    ended_s: float
    closed_s: float
    peak_memory_bytes: int = 0


def _in_this_process(
    job: TrackingJob, source: EventSource, server: ServerInUse, config: ClientConfig
) -> _Done:
    meter = ProgressMeter()
    client = Client(config, observers=[meter])
    with summary_if_interrupted(client.summary), client:
        producer = TrackFindingProducer(
            client.metadata, min_space_points=job.min_space_points
        )
        began_s = time.perf_counter()
        with open_writer(job, source, client.metadata, server) as writer:
            n_before = writer.n_done
            loop = EventLoop(
                source.between(n_before),
                producer,
                client,
                sink=writer,
                on_failure=job.on_failure,
            )
            with progress("track", len(source), unit="events") as show:
                loop.process(
                    lambda n_events: show(n_before + n_events, _in_flight(meter))
                )
            ended_s = time.perf_counter()
        closed_s = time.perf_counter()
    return _Done(
        writer, n_before, client.summary(), loop.times(), began_s, ended_s, closed_s
    )


def _on_cluster(
    job: TrackingJob, source: EventSource, server: ServerInUse, config: ClientConfig
) -> _Done:
    assert job.cluster is not None  # why it is here
    with needs_extra("dask"):
        from sonic_tracking.distributed.cluster import cluster_client  # noqa: PLC0415
        from sonic_tracking.distributed.tracking import (  # noqa: PLC0415
            PartMerge,
            client_on_workers,
            track_on_cluster,
        )
    if server.is_own and job.cluster.scheduler is not None:
        raise ConfigError(
            "--dask needs --server: the workers may be on other machines, which a "
            "server in this process is not for"
        )
    merge, client = PartMerge(source), Client(config)

    def summary() -> JobSummary:
        of_workers = merge.work().summary
        own = client.summary()
        return own if of_workers is None else own + of_workers

    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_client(job.cluster))
        stack.enter_context(summary_if_interrupted(summary))
        with client:
            model = client.metadata
        producer = TrackFindingProducer(model, min_space_points=job.min_space_points)
        plugin = stack.enter_context(client_on_workers(cluster, config))
        began_s = time.perf_counter()
        with open_writer(job, source, model, server) as writer:
            n_before = writer.n_done
            with progress("track", len(source), unit="events") as show:
                track_on_cluster(
                    cluster,
                    plugin,
                    source,
                    producer,
                    writer,
                    merge=merge,
                    on_failure=job.on_failure,
                    on_events=lambda n_events: show(n_before + n_events),
                )
            ended_s = time.perf_counter()
        closed_s = time.perf_counter()  # of the output; the cluster's end is no part
    work = merge.work()
    return _Done(
        writer,
        n_before,
        summary(),
        work.times,
        began_s,
        ended_s,
        closed_s,
        work.peak_memory_bytes,
    )


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
def open_writer(
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
        if writer.partial.is_dir():
            more = " with parts that workers finished" if writer.parts.is_dir() else ""
            typer.echo(
                f"sonic: {writer.n_done} events are in {writer.partial}{more}; "
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingReport:
    """What a job found, and where its time and memory went."""

    output: Path
    n_candidates: int
    n_resumed: int = 0
    """Events that an interrupted job had finished before."""

    failures: tuple[FailureRow, ...] = ()
    summary: JobSummary
    times: LoopTimes
    start_s: float
    """Until the server was up and the client connected."""

    loop_s: float
    """From the first event to the last, whoever did them."""

    close_s: float
    """For the last block of the output."""

    stage_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds in each stage of the pipeline, summed over its threads; empty if the
    server was elsewhere."""

    peak_memory_bytes: int

    @property
    def loop_parts_s(self) -> dict[str, float]:
        """Seconds by what the loop did, from the first read to the last write.

        Servers compute while the loop does any of it; ``wait`` is when it did nothing
        but wait for them. Of several workers, each counts: the sum is more than
        `loop_s`.
        """
        times = self.times
        return {
            "read": times.read_s,
            "acquire": times.acquire_s,
            "wait": times.wait_s,
            "produce": times.produce_s,
            "write": times.write_s + self.close_s,
        }

    @property
    def events_per_s(self) -> float:
        """Events per second of the loop, the server's start left out."""
        loop_s = self.loop_s + self.close_s
        return self.times.events / loop_s if loop_s > 0.0 else 0.0

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        times = self.times
        return {
            "output": str(self.output),
            "events": times.events,
            "failed_events": times.failed_events,
            "failures": [asdict(row) for row in self.failures],
            "resumed_events": self.n_resumed,
            "space_points": times.space_points,
            "candidates": self.n_candidates,
            "events_per_s": self.events_per_s,
            "time_s": {"start": self.start_s, **self.loop_parts_s},
            "compute_s": dict(self.stage_s) or None,
            "peak_memory_bytes": self.peak_memory_bytes,
            "summary": self.summary.to_dict(),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, ready for a table."""
        n_events = self.times.events + self.n_resumed
        rows = [
            ("track candidates", f"{self.n_candidates} in {n_events} events"),
            *self.summary.rows(),
            ("events per second", f"{self.events_per_s:.3g}, start-up left out"),
            ("time", _shares(self.loop_parts_s)),
        ]
        if self.n_resumed:
            rows.insert(1, ("resumed", f"after {self.n_resumed} events"))
        rows += [("failed", _failed(self.failures))] if self.failures else []
        if self.stage_s:
            rows.append(("compute", _shares(self.stage_s)))
        rows += [
            ("peak memory", f"{self.peak_memory_bytes / 1e6:.0f} MB"),
            ("written", str(self.output)),
        ]
        return rows


def _failed(failures: tuple[FailureRow, ...]) -> str:
    ids = ", ".join(str(row.event) for row in failures[:5])
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return f"{len(failures)}: event {ids}{more} ({failures[0].cause})"


def _shares(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())


@contextmanager
def summary_if_interrupted(summary: Callable[[], JobSummary]) -> Iterator[None]:
    """Print a summary if Ctrl-C or SIGTERM ends the block.

    To be entered before the client that it is of: when that is closed its summary no
    longer asks the servers, which may be why the job was ended.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(ClientClosedError):  # interrupted before it was open
            print_rows("done until now", summary().rows())
        raise
