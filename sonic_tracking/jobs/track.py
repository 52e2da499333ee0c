"""Tracks from files of space points, by a server or in this process."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args, overload

from producers import (
    Event,
    EventLoop,
    EventSource,
    FailurePolicy,
    FailureRow,
    FeatureScale,
    LoopTimes,
    TrackCandidates,
    TrackEvents,
    TrackFindingProducer,
    TrackWriter,
    open_events,
)
from producers.formats.registry import choose_track_format
from producers.io import iterating, locations
from sonic_base import ConfigError
from sonic_base.input_range import InputCheck
from sonic_client import (
    Client,
    ClientClosedError,
    ClientConfig,
    JobSummary,
    ModelMetadata,
)
from sonic_client.report import ProgressMeter
from sonic_tracking.columns import PointColumns, point_columns
from sonic_tracking.errors import needs_extra, require_main_guard
from sonic_tracking.jobs.connection import ClientSettings, ServerInUse, job_server
from sonic_tracking.memory import peak_memory_bytes
from sonic_tracking.outputs import (
    Json,
    check_interrupted,
    check_outputs,
    counted,
    write_json,
)
from sonic_tracking.progress import progress_bar

__all__ = ["TrackingReport", "TrackingResult", "track"]

MIN_SPACE_POINTS = 3
"""Of the candidates whose share of the space points weights record."""

MIN_JUDGED_POINTS = 1000
"""Space points of a job below which nothing is said of that share."""

PathLike = str | Path


def track(
    files: PathLike | Sequence[PathLike],
    *,
    output: PathLike | None = None,
    server: str | Sequence[str] | None = None,
    model: str | None = None,
    weights: PathLike | None = None,
    fallback: str | None = None,
    on_failure: FailurePolicy = "raise",
    format: str | None = None,
    columns: PointColumns = None,
    unit: str | None = None,
    csv_scale: FeatureScale | None = None,
    max_events: int | None = None,
    min_space_points: int = 3,
    any_input: bool = False,
    workers: int | None = None,
    dask: str | None = None,
    layout: Literal["per_event", "concat"] | None = None,
    window: int | None = None,
    deadline_s: float | None = None,
    try_timeout_s: float | None = None,
    hedge: bool | None = None,
    client_config: PathLike | None = None,
    token_file: PathLike | None = None,
    token_env: str | None = None,
    plaintext_token: bool = False,
    roots: PathLike | None = None,
    output_format: str | None = None,
    json: PathLike | None = None,
    resume: bool = False,
    force: bool = False,
    progress: bool = False,
    command: str = "sonic_tracking.track",
    on_interrupt: Callable[[JobSummary], object] | None = None,
) -> TrackingResult:
    """Find the tracks of every event: ``sonic track`` as a function.

    Memory is bounded by the window of requests: tracks go to the file as they are
    found, and are read from it when they are asked for. Without `output` it is a
    temporary file, which is deleted with the result.

    Parameters
    ----------
    files : path, or sequence of paths
        Files, patterns, URLs, or ``@list.txt`` of them, as `producers.open_events`
        takes them.
    output : path, optional
        File for the tracks; its suffix chooses the format.
    server : str, or sequence of str, optional
        ``grpc://host:port``. By default the server that
        ``SONIC_LOCAL_BALANCER_HOST`` and ``..._PORT`` name, or else one in this
        process.
    model : str, optional
        Name of the served model; by default ``exatrkx``, or ``exatrkx_batch`` for the
        layout ``concat``.
    weights : path or name, optional
        Weights for the server in this process, or for the fallback: a folder, or the
        name of bundled ones such as ``generic_pileup``.
    fallback : {"mock", "triton"}, optional
        The server that is started here if no other answers.
    on_failure : {"raise", "skip", "fill"}
        For an event without an answer: end the job, or go on. The result gives None
        for it. In the file it has no space points after "skip", and the label -1 for
        each of them after "fill".
    format : str, optional
        Format of the files, such as ``jagged`` (see docs/formats.md); by
        default it is detected.
    columns : ColumnMapping, mapping, or path of a TOML file, optional
        The tree and branches of the space points.
    unit : {"mm", "cm", "m", "um"}, optional
        Unit of the positions in the files; by default that of `columns`, or else mm.
        The events of the result have positions in mm.
    csv_scale : FeatureScale, optional
        Divisors of the features in a csv file, in mm, rad, mm.
    max_events : int, optional
        Stop after this number of events.
    min_space_points : int
        A smaller component is no candidate.
    any_input : bool
        Whether to send events, too, that are far from all that the weights were trained
        on. A named server may refuse them nevertheless.
    workers : int, optional
        Number of processes of this machine that share the job (extra ``dask``). In
        a script, put the call below ``if __name__ == "__main__":``, because each
        process imports the script.
    dask : str, optional
        Address of a dask scheduler whose workers do the job; they must see the same
        files.
    layout : {"per_event", "concat"}, optional
        One request an event (the default), or several events in one request.
    window : int, optional
        Requests in flight at once; by default 16.
    deadline_s, try_timeout_s : float, optional
        Seconds for a request with all its tries, and for a single try.
    hedge : bool, optional
        Send a request that takes unusually long to a second server as well; the first
        answer counts. By default not.
    client_config : path, optional
        TOML file whose table ``[client]`` configures the client; the other arguments
        go before it.
    token_file, token_env, roots : path or str, optional
        The server's bearer token, in a file or an environment variable, and the PEM
        file of the authorities to trust.
    plaintext_token : bool
        Whether the token may be sent unencrypted to another machine.
    output_format : str, optional
        ``ttree``, ``rntuple``, ``parquet``, ``trackml`` or ``edm4hep``.
    json : path, optional
        File for the job summary, rates, times and peak memory.
    resume, force : bool
        Go on from an interrupted job; replace outputs that exist.
    progress : bool
        Whether to show the progress on stderr.
    command : str
        Recorded in the output's provenance.
    on_interrupt : callable, optional
        Called with the summary so far if Ctrl-C or SIGTERM ends the job.

    Returns
    -------
    TrackingResult

    Raises
    ------
    ConfigError
        If a setting is wrong, or the server's model cannot find tracks.
    DataError
        If an input is wrong, or an output must not or cannot be written.
    EventFailedError
        With ``on_failure="raise"``, for the first event without an answer.
    SonicError
        If the server cannot be reached, or the weights cannot be used.

    Examples
    --------
    >>> from sonic_tracking import track
    >>> result = track("events.root", weights="generic_pu0")
    >>> for event, tracks in result:
    ...     print(event.event_id, len(tracks))
    """
    started = time.perf_counter()
    paths = [files] if isinstance(files, str | Path) else list(files)
    urls = [server] if isinstance(server, str) else list(server or ())
    if dask is not None and workers is not None:
        raise ConfigError("dask and workers exclude one another: give one of them")
    if dask is not None and output is None:
        raise ConfigError("dask needs an output: its workers share no temporary folder")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    if workers is not None:
        require_main_guard()
    if on_failure not in get_args(FailurePolicy):
        raise ConfigError(
            f"on_failure must be one of {', '.join(get_args(FailurePolicy))}, "
            f"got {on_failure!r}"
        )
    given: tuple[object, ...] = tuple(paths)  # a caller may give anything
    wrong = [each for each in given if not isinstance(each, str | Path)]
    if wrong or hasattr(files, "dtype") or hasattr(files, "layout"):
        raise ConfigError(
            "expected paths of files, got positions in memory or "
            f"{type(files).__name__}: find_tracks takes arrays of positions"
        )
    settings = ClientSettings(
        file=_path(client_config),
        servers=tuple(urls),
        fallback=fallback,
        try_timeout_s=try_timeout_s,
        hedge=hedge,
        token_file=_path(token_file),
        token_env=token_env,
        plaintext_token=plaintext_token or None,
        roots=_path(roots),
        model=model,
        layout=layout,
        window=window,
        deadline_s=deadline_s,
    )
    target = _Output.of(output, output_format, resume=resume, force=force)
    local = tuple(path for path in locations(paths) if isinstance(path, Path))
    check_outputs(
        {"output": _path(output), "json": _path(json)}, inputs=local, force=force
    )
    check_interrupted(target.path, resume=resume, force=force)
    choose_track_format(target.path, output_format)
    mapping = point_columns(columns)
    source = open_events(
        paths,
        format=format,
        columns=mapping,
        unit=unit,
        csv_scale=csv_scale,
        max_events=max_events,
    )
    with job_server(
        settings, _path(weights), progress=progress, any_input=any_input
    ) as (used, config):
        job = _Job(
            source=source,
            config=config,
            server=used,
            output=target,
            min_space_points=min_space_points,
            any_input=any_input,
            unit=unit or ("mm" if mapping is None else mapping.unit),
            on_failure=on_failure,
            provenance={
                "command": command,
                "format": format,
                "layout": settings.table().get("layout", "per_event"),
                "columns": mapping and _given(asdict(mapping)),
                "unit": unit,
                "csv_scale": csv_scale and asdict(csv_scale),
                **({"any_input": True} if any_input else {}),
            },
            progress=progress,
            on_interrupt=on_interrupt or (lambda _: None),
        )
        if dask is None and workers is None:
            done = _in_this_process(job)
        else:
            done = _on_cluster(job, dask, workers)
        report = TrackingReport(
            output=_path(output),
            n_candidates=done.writer.n_candidates,
            share_on_candidates=done.writer.share_on_candidates,
            unusual=_unusual(done, job),
            n_resumed=done.n_resumed,
            failures=done.writer.failures,
            summary=done.summary,
            times=done.times,
            start_s=done.began_s - started,
            loop_s=done.ended_s - done.began_s,
            close_s=done.closed_s - done.ended_s,
            stage_s={} if used.clock is None else dict(used.clock.seconds),
            peak_memory_bytes=max(peak_memory_bytes(), done.peak_memory_bytes),
        )
    if json is not None:
        write_json(Path(json), {"command": command, **report.to_dict()})
    return TrackingResult(target, source, report, _path(weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingReport:
    """The number of tracks found, and where time and memory went."""

    output: Path | None
    """The file of the tracks; None if it is a temporary one."""

    n_candidates: int
    share_on_candidates: float | None = None
    """Share of the space points that are on candidates; None if there are none."""

    unusual: str = ""
    """What to say if that share is far from the training's; empty if it is not."""

    n_resumed: int = 0
    """Events that an interrupted job had finished before."""

    failures: tuple[FailureRow, ...] = ()
    summary: JobSummary
    times: LoopTimes
    start_s: float
    """Seconds until the server was running and the client connected."""

    loop_s: float
    """Seconds from the first event to the last, of all workers together."""

    close_s: float
    """Seconds for the last block of the output."""

    stage_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds in each stage of the pipeline, summed over its threads; empty if the
    server was not in this process."""

    peak_memory_bytes: int

    @property
    def n_events(self) -> int:
        """Number of events in the output."""
        return self.times.events + self.n_resumed

    @property
    def loop_parts_s(self) -> dict[str, float]:
        """Seconds by activity of the loop, from the first read to the last write.

        Servers compute during all of them; in ``wait`` the loop only waits for
        servers. Times of several workers are added, so the sum may exceed `loop_s`.
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
        """Events per second of the loop, without the server's start."""
        loop_s = self.loop_s + self.close_s
        return self.times.events / loop_s if loop_s > 0.0 else 0.0

    def to_dict(self) -> Json:
        """Return plain values for JSON."""
        times = self.times
        return {
            "output": self.output and str(self.output),
            "events": times.events,
            "failed_events": times.failed_events,
            "failures": [asdict(row) for row in self.failures],
            "resumed_events": self.n_resumed,
            "space_points": times.space_points,
            "candidates": self.n_candidates,
            "share_on_candidates": self.share_on_candidates,
            "unusual": self.unusual or None,
            "events_per_s": self.events_per_s,
            "time_s": {"start": self.start_s, **self.loop_parts_s},
            "compute_s": dict(self.stage_s) or None,
            "peak_memory_bytes": self.peak_memory_bytes,
            "summary": self.summary.to_dict(),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a table."""
        rows = [
            (
                "track candidates",
                f"{self.n_candidates} in {counted(self.n_events, 'event')}",
            ),
            *self.summary.rows(),
            ("events per second", f"{self.events_per_s:.3g}, start-up left out"),
            ("time", _shares(self.loop_parts_s)),
        ]
        if self.n_resumed:
            rows.insert(1, ("resumed", f"after {counted(self.n_resumed, 'event')}"))
        if self.failures:
            rows.append(("failed", _failed(self.failures)))
        if self.unusual:
            rows.append(("unusual", self.unusual))
        if self.stage_s:
            rows.append(("compute", _shares(self.stage_s)))
        rows.append(("peak memory", f"{self.peak_memory_bytes / 1e6:.0f} MB"))
        if self.output is not None:
            rows.append(("written", str(self.output)))
        return rows


class TrackingResult:
    """The tracks of a job, read from its file when they are asked for.

    Iterating gives each event of the input with its `TrackCandidates`, or None if the
    event failed. `len` is the number of events; ``result[0]`` reads up to that event,
    and ``result[1:3]`` gives a list.

    Attributes
    ----------
    path : Path
        The file of the tracks; a temporary one exists as long as this object.
    report : TrackingReport
        Numbers, times and peak memory.
    source : EventSource
        The events of the input.
    weights : Path or None
        The weights that were given, which `evaluate` uses again.
    """

    def __init__(
        self,
        output: _Output,
        source: EventSource,
        report: TrackingReport,
        weights: Path | None = None,
    ) -> None:
        self._output = output  # a temporary folder lives as long as this object
        self.path, self.source, self.report = output.path, source, report
        self.weights = weights

    def __len__(self) -> int:
        return self.report.n_events

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.report.output else ""
        n_failed = len(self.report.failures)
        failed = f", {n_failed} of them failed" if n_failed else ""
        candidates = counted(self.report.n_candidates, "track candidate")
        n_events = counted(len(self), "event")
        return f"<TrackingResult: {candidates} of {n_events}{failed}{where}>"

    def __iter__(self) -> Iterator[tuple[Event, TrackCandidates | None]]:
        with iterating(self.source) as chunks, iterating(self.tracks) as found:
            events = (event for chunk in chunks for event in chunk)
            for event, each in zip(events, found, strict=False):
                yield event, None if each.is_failed else each.candidates

    @overload
    def __getitem__(self, index: int) -> tuple[Event, TrackCandidates | None]: ...
    @overload
    def __getitem__(
        self, index: slice
    ) -> list[tuple[Event, TrackCandidates | None]]: ...
    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            wanted = range(len(self))[index]
            last = max(wanted, default=-1)
            read = list(islice(self, last + 1))
            return [read[number] for number in wanted]
        try:
            number = range(len(self))[index]
        except IndexError:
            raise IndexError(
                f"event {index} of {counted(len(self), 'event')}"
            ) from None
        return next(islice(self, number, None))

    @property
    def tracks(self) -> TrackEvents:
        """The tracks alone, without reading the events again.

        Raises
        ------
        DataError
            If the file's format cannot be read back (trackml, edm4hep).
        """
        return TrackEvents(self.path)

    @property
    def summary(self) -> JobSummary:
        """Requests, tries, servers and latencies of the client."""
        return self.report.summary

    # Any: awkward has no type information.
    def arrays(self) -> Any:
        """Return the tracks of all events as one awkward array, in memory.

        Returns
        -------
        ak.Array, one record per event, in input order
            ``event``, its number; ``sp_label``, the candidate of each space point, -1
            for none; ``candidates``, the indices of the space points of each
            candidate, outward. None for an event that failed. The events of several
            files follow each other, in the order of the files; `source` names them.
        """
        return self.tracks.array()


@dataclass(frozen=True, kw_only=True)  # no slots: it is referenced weakly
class _Output:
    """The file of the tracks, and how it may be written."""

    path: Path
    format: str | None
    resume: bool
    force: bool
    is_temporary: bool = False

    @classmethod
    def of(
        cls, path: PathLike | None, format: str | None, *, resume: bool, force: bool
    ) -> _Output:
        if path is not None:
            return cls(path=Path(path), format=format, resume=resume, force=force)
        if format is not None or resume:
            raise ConfigError("output_format and resume need an output")
        folder = tempfile.mkdtemp(prefix="sonic-tracks-")
        output = cls(
            path=Path(folder) / "tracks.root",
            format=None,
            resume=False,
            force=False,
            is_temporary=True,
        )
        weakref.finalize(output, shutil.rmtree, folder, ignore_errors=True)
        return output


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    source: EventSource
    config: ClientConfig
    server: ServerInUse
    output: _Output
    min_space_points: int
    any_input: bool
    unit: str
    on_failure: FailurePolicy
    provenance: Json
    progress: bool
    on_interrupt: Callable[[JobSummary], object]

    def producer(self, model: ModelMetadata) -> TrackFindingProducer:
        return TrackFindingProducer(
            model,
            min_space_points=self.min_space_points,
            any_input=self.any_input,
            unit=self.unit,
        )

    @contextmanager
    def writer(self, model: ModelMetadata) -> Iterator[TrackWriter]:
        """Give the open writer; an early end notes in the error where to go on from."""
        provenance = self._provenance(model)
        same = (
            *("inputs", "n_events", "model", "columns", "unit", "csv_scale"),
            "min_space_points",
        )
        writer = TrackWriter(
            self.output.path,
            provenance,
            format=self.output.format,
            force=self.output.force,
            resume=self.output.resume,
            job={name: provenance[name] for name in same}
            | {"on_failure": self.on_failure},
        )
        try:
            with writer:
                yield writer
        except BaseException as error:
            if writer.partial.is_dir() and not self.output.is_temporary:
                has_parts = writer.parts.is_dir()
                more = " with parts that workers finished" if has_parts else ""
                error.add_note(
                    f"{writer.n_done} events are in {writer.partial}{more}; "
                    "--resume (resume=True) goes on from there"
                )
            raise

    def _provenance(self, model: ModelMetadata) -> Json:
        packages = ["sonic-tracking", "numpy", "uproot", "tritonclient"]
        packages += ["torch"] if self.server.is_own else []
        return self.provenance | {
            "inputs": [
                name if "://" in name else str(Path(name).resolve())
                for name in self.source.names
            ],
            "n_events": len(self.source),
            "server": "in this process" if self.server.is_own else self.server.url,
            "model": {
                "name": model.name,
                "version": model.version,
                "platform": model.platform,
                "parameters": dict(model.parameters),
            },
            "weights_id": model.parameters.get("weights_id"),
            "min_space_points": self.min_space_points,
            "versions": {package: version(package) for package in packages},
        }

    @contextmanager
    def reporting_interrupts(self, summary: Callable[[], JobSummary]) -> Iterator[None]:
        """Report a summary if Ctrl-C or SIGTERM ends the block.

        Enter it before the client: once that is closed, its summary no longer asks
        the servers, which may be why the job was interrupted.
        """
        try:
            yield
        except KeyboardInterrupt:
            with suppress(ClientClosedError):  # interrupted before it was open
                self.on_interrupt(summary())
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """Results and times of a job that has ended."""

    writer: TrackWriter
    n_resumed: int
    summary: JobSummary
    times: LoopTimes
    began_s: float
    ended_s: float
    closed_s: float
    input_check: InputCheck | None
    peak_memory_bytes: int = 0


def _in_this_process(job: _Job) -> _Done:
    meter = ProgressMeter()
    client = Client(job.config, observers=[meter])
    with job.reporting_interrupts(client.summary), client:
        producer = job.producer(client.metadata)
        began_s = time.perf_counter()
        with job.writer(client.metadata) as writer:
            n_before = writer.n_done
            loop = EventLoop(
                job.source.between(n_before),
                producer,
                client,
                sink=writer,
                on_failure=job.on_failure,
            )
            with progress_bar(
                "track", len(job.source), unit="events", is_shown=job.progress
            ) as show:
                loop.process(
                    lambda n_events: show(n_before + n_events, _in_flight(meter))
                )
            ended_s = time.perf_counter()
        closed_s = time.perf_counter()
    return _Done(
        writer=writer,
        n_resumed=n_before,
        summary=client.summary(),
        times=loop.times(),
        began_s=began_s,
        ended_s=ended_s,
        closed_s=closed_s,
        input_check=producer.input_check,
    )


def _on_cluster(job: _Job, scheduler: str | None, workers: int | None) -> _Done:
    with needs_extra("dask"):
        from sonic_tracking.distributed.cluster import cluster_client  # noqa: PLC0415
        from sonic_tracking.distributed.tracking import (  # noqa: PLC0415
            PartMerge,
            client_on_workers,
            track_on_cluster,
        )
    if job.server.is_own and scheduler is not None:
        raise ConfigError(
            "dask needs a server: its workers may be on other machines, which "
            "cannot reach a server in this process"
        )
    merge, client = PartMerge(job.source), Client(job.config)

    def summary() -> JobSummary:
        of_workers = merge.work().summary
        own = client.summary()
        return own if of_workers is None else own + of_workers

    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_client(scheduler, workers))
        stack.enter_context(job.reporting_interrupts(summary))
        with client:
            model = client.metadata
        producer = job.producer(model)
        plugin = stack.enter_context(client_on_workers(cluster, job.config))
        began_s = time.perf_counter()
        with job.writer(model) as writer:
            n_before = writer.n_done
            with progress_bar(
                "track", len(job.source), unit="events", is_shown=job.progress
            ) as show:
                track_on_cluster(
                    cluster,
                    plugin,
                    job.source,
                    producer,
                    writer,
                    merge=merge,
                    on_failure=job.on_failure,
                    on_events=lambda n_events: show(n_before + n_events),
                )
            ended_s = time.perf_counter()
        closed_s = time.perf_counter()  # without the end of the cluster
    work = merge.work()
    return _Done(
        writer=writer,
        n_resumed=n_before,
        summary=summary(),
        times=work.times,
        began_s=began_s,
        ended_s=ended_s,
        closed_s=closed_s,
        input_check=producer.input_check,
        peak_memory_bytes=work.peak_memory_bytes,
    )


def _unusual(done: _Done, job: _Job) -> str:
    """Say that few or many space points are on candidates, compared with the training.

    Nothing if the user wants only long candidates, or few events.
    """
    writer, check = done.writer, done.input_check
    share = writer.share_on_candidates
    if check is None or share is None or job.min_space_points > MIN_SPACE_POINTS:
        return ""
    if writer.n_space_points < MIN_JUDGED_POINTS:
        return ""
    per_event = writer.n_space_points / writer.n_done
    return check.range.unusual_share(share, per_event)


def _in_flight(meter: ProgressMeter) -> str:
    """Return the number of requests in flight, for the progress display."""
    n_in_flight = meter.progress().in_flight
    return f"{n_in_flight} in flight" if n_in_flight else ""


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def _given(columns: Mapping[str, str | None]) -> dict[str, str]:
    return {kind: name for kind, name in columns.items() if name is not None}


def _failed(failures: tuple[FailureRow, ...]) -> str:
    ids = ", ".join(str(row.event) for row in failures[:5])
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return f"{len(failures)}: event {ids}{more} ({failures[0].cause})"


def _shares(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
