"""Tracks of a file against the truth, and the edges behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from producers import (
    ColumnMapping,
    DataError,
    Event,
    EventSource,
    FeatureScale,
    TrackCandidates,
    TrackEvents,
    TruthEvents,
    open_events,
)
from producers.evaluation import (
    Criteria,
    EdgeCounts,
    EvaluationReport,
    evaluate,
    first_display,
    write_page,
)
from producers.model.iteration import iterating
from producers.readers import TruthEvent
from sonic_tracking.jobs.pairing import events_with_truth
from sonic_tracking.jobs.used_weights import EdgesNotCountedError, pipeline_of
from sonic_tracking.outputs import check_outputs, write_json
from sonic_tracking.progress import progress

if TYPE_CHECKING:
    from exatrkx_pipeline import Pipeline

__all__ = ["EvaluationJob", "EvaluationResult", "run_evaluation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationJob:
    """What `sonic evaluate` was asked for; see its options."""

    tracks: Path
    truth: tuple[Path, ...]
    events: tuple[Path, ...] = ()
    weights: Path | None = None
    criteria: Criteria = field(default_factory=Criteria)
    json: Path | None = None
    plot: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """The report, and why it lacks the edges, if it does."""

    report: EvaluationReport
    edges_not_counted: str | None = None


def run_evaluation(job: EvaluationJob) -> EvaluationResult:
    """Compare tracks with the truth; run the pipeline for the edges, if possible.

    Raises
    ------
    DataError
        If an input is wrong, or an output must not or cannot be written.
    ConfigError
        If an output is an input.
    """
    check_outputs(
        {"--json": job.json, "--plot": job.plot},
        inputs=(job.tracks, *job.truth, *job.events),
        force=job.force,
    )
    tracks, truth = TrackEvents(job.tracks), TruthEvents(job.truth)
    source, pipeline, reason = None, None, None
    try:
        source = _input_events(job, tracks)
        pipeline = pipeline_of(tracks, job.weights)
    except EdgesNotCountedError as error:
        reason = str(error)
    with progress("evaluate", len(tracks), unit="events") as progressed:
        report = evaluate(
            tracks, truth, events=source, criteria=job.criteria, on_event=progressed
        )
    if source is not None and pipeline is not None:
        edges = _stage_edges(pipeline, source, tracks, truth, job.criteria)
        report = replace(report, edges=edges)
    if job.json is not None:
        write_json(job.json, {**report.to_dict(), "edges_not_counted": reason})
    if job.plot is not None:
        display = (
            None
            if source is None
            else first_display(source, tracks, truth, criteria=job.criteria)
        )
        write_page(report, job.plot, display)
    return EvaluationResult(report=report, edges_not_counted=reason)


def _stage_edges(
    pipeline: Pipeline,
    source: EventSource,
    tracks: TrackEvents,
    truth: TruthEvents,
    criteria: Criteria,
) -> dict[str, EdgeCounts]:
    from sonic_tracking.jobs.stage_edges import count_stage_edges  # noqa: PLC0415 - torch

    with progress("count edges", len(source), unit="events") as progressed:
        return count_stage_edges(
            pipeline, _triples(source, tracks, truth), criteria, progressed
        )


def _triples(
    source: EventSource, tracks: TrackEvents, truth: TruthEvents
) -> Iterator[tuple[Event, TrackCandidates, TruthEvent]]:
    with (
        iterating(events_with_truth(source, truth)) as events,
        iterating(tracks) as found,
    ):
        for (event, true), track in zip(events, found, strict=True):
            if not track.is_failed:
                yield event, track.candidates, true


def _input_events(job: EvaluationJob, tracks: TrackEvents) -> EventSource:
    provenance = tracks.provenance
    paths = job.events or tuple(provenance.get("inputs", ()))
    if not paths:
        raise EdgesNotCountedError("the tracks do not name their input: give --events")
    columns, scale = provenance.get("columns"), provenance.get("csv_scale")
    try:
        source = open_events(
            paths,
            format=provenance.get("format"),
            columns=ColumnMapping.from_dict(columns) if columns else None,
            csv_scale=FeatureScale(**scale) if scale else None,
            max_events=len(tracks),
        )
    except DataError as error:
        if job.events:
            raise
        raise EdgesNotCountedError(str(error)) from error
    if len(source) < len(tracks):
        raise EdgesNotCountedError(
            f"{len(tracks)} events with tracks, {len(source)} in the events' files"
        )
    return source
