"""Tracks out of files, through a client and a server, into a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

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
from sonic_client import (
    Client,
    ClientConfig,
    ConfigError,
    JobSummary,
)
from sonic_client.observers import ProgressMeter
from sonic_tracking.errors import needs_extra
from sonic_tracking.jobs.client_settings import ClientSettings
from sonic_tracking.jobs.cluster_config import ClusterConfig
from sonic_tracking.jobs.memory import peak_memory_bytes
from sonic_tracking.jobs.partial_summary import summary_if_interrupted
from sonic_tracking.jobs.server import ServerInUse, tracking_server
from sonic_tracking.jobs.tracking_output import open_writer
from sonic_tracking.jobs.tracking_report import TrackingReport
from sonic_tracking.outputs import check_interrupted, check_outputs, write_json
from sonic_tracking.progress import progress

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
        from sonic_tracking.jobs.distributed.cluster import cluster_client  # noqa: PLC0415
        from sonic_tracking.jobs.distributed.merge import PartMerge  # noqa: PLC0415
        from sonic_tracking.jobs.distributed.tracking import (  # noqa: PLC0415
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
