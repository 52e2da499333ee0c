"""Tracks of a file against the truth, and the edges behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.stages import StageResults
from producers import (
    ColumnMapping,
    DataError,
    Event,
    EventSource,
    FeatureScale,
    TrackCandidates,
    TrackEvents,
    TruthEvent,
    TruthEvents,
    UnequalEventsError,
    open_events,
)
from producers.evaluation import (
    Criteria,
    EdgeCounts,
    EvaluationReport,
    count_edges,
    evaluate,
    points_of_particles,
    production_vertices,
    true_edges,
)
from producers.io.iteration import iterating
from producers.model.features import node_features
from sonic_client import SonicError
from sonic_tracking.errors import MissingExtraError, needs_extra
from sonic_tracking.outputs import check_outputs, write_json
from sonic_tracking.progress import progress

if TYPE_CHECKING:
    from exatrkx_pipeline import Pipeline

__all__ = [
    "EdgesNotCountedError",
    "EvaluationJob",
    "EvaluationResult",
    "count_edges_of_event",
    "count_stage_edges",
    "edges_of_candidates",
    "edges_of_run",
    "events_with_truth",
    "feature_scale",
    "no_edges",
    "pipeline_of",
    "run_evaluation",
]


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
        report.plot(job.plot)
    return EvaluationResult(report=report, edges_not_counted=reason)


def _stage_edges(
    pipeline: Pipeline,
    source: EventSource,
    tracks: TrackEvents,
    truth: TruthEvents,
    criteria: Criteria,
) -> dict[str, EdgeCounts]:
    from sonic_tracking.jobs.evaluate import count_stage_edges  # noqa: PLC0415 - torch

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


class EdgesNotCountedError(SonicError):
    """The edges behind the tracks cannot be found again; the message says why."""


def pipeline_of(tracks: TrackEvents, weights: Path | None) -> Pipeline:
    """Load the weights that found the tracks.

    Parameters
    ----------
    tracks : TrackEvents
    weights : Path, optional
        Where they are; without it, those of the bundled ones that have their id.

    Raises
    ------
    EdgesNotCountedError
        If they are others, or none of the bundled ones.
    WeightsError
        If those that are named cannot be read.
    """
    try:
        with needs_extra("pipeline"):
            from exatrkx_pipeline import load_weights  # noqa: PLC0415 - loads torch
    except MissingExtraError as error:
        raise EdgesNotCountedError(str(error)) from error
    used = tracks.provenance.get("weights_id")
    if weights is None:
        weights = _bundled_with(used)
    pipeline = load_weights(weights)
    if pipeline.weights_id != used:
        raise EdgesNotCountedError(
            f"the tracks were found with the weights {used}, not with "
            f"{pipeline.weights_id}: give --weights"
        )
    return pipeline


def _bundled_with(weights_id: object) -> Path:
    from exatrkx_pipeline.weights.storage import (  # noqa: PLC0415 - loads torch
        BUNDLED,
        CONFIG_FILE,
        read_weights_config,
    )

    for file in sorted(BUNDLED.glob(f"*/{CONFIG_FILE}")):
        if read_weights_config(file.parent).get("weights_id") == weights_id:
            return file.parent
    raise EdgesNotCountedError(
        f"the tracks were found with the weights {weights_id}, which are not among "
        "the bundled ones: give --weights"
    )


def events_with_truth(
    source: EventSource, truth: TruthEvents
) -> Iterator[tuple[Event, TruthEvent]]:
    """Yield each event with its truth; the truth may go on after the last event.

    Raises
    ------
    UnequalEventsError
        If the truth is of fewer or other events, or of other space points.
    """
    if len(truth) < len(source):
        raise UnequalEventsError(
            f"{truth.paths[0]}: truth of {len(truth)} events, "
            f"there are {len(source)} events in {source.names[0]}"
        )
    with iterating(source) as chunks, iterating(truth) as true_events:
        events = (event for chunk in chunks for event in chunk)
        for event, true in zip(events, true_events, strict=False):
            _require_same(event, true)
            yield event, true


def _require_same(event: Event, truth: TruthEvent) -> None:
    where = f"{event.source}: entry {event.entry}"
    if event.event_id != truth.event_id:
        raise UnequalEventsError(
            f"{where} is event {event.event_id}, in the truth it is event "
            f"{truth.event_id}"
        )
    if len(event) != len(truth.particle_id):
        raise UnequalEventsError(
            f"{where} has {len(event)} space points, in the truth it has "
            f"{len(truth.particle_id)}"
        )


STAGES = ("radius graph", "filter", "gnn", "tracks")


def count_stage_edges(
    pipeline: Pipeline,
    events: Iterable[tuple[Event, TrackCandidates, TruthEvent]],
    criteria: Criteria,
    on_event: Callable[[int], None],
) -> dict[str, EdgeCounts]:
    """Run the pipeline anew and count the edges that each stage leaves.

    Parameters
    ----------
    pipeline : Pipeline
        With the weights that found the candidates.
    events : iterable of (Event, TrackCandidates, TruthEvent)
    criteria : Criteria
        Particles whose true edges make the efficiency.
    on_event : callable
        Called with the number of events done.

    Returns
    -------
    dict of str to EdgeCounts
        ``radius graph``, ``filter``, ``gnn`` (above its cut), and ``tracks``: points
        next to each other on a candidate.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    totals = no_edges()
    for done, (event, candidates, truth) in enumerate(events, start=1):
        run = pipeline.run(node_features(event.xyz, feature_scale(pipeline)))
        kept = edges_of_run(pipeline, run, candidates)
        counts = count_edges_of_event(kept, event, truth, criteria)
        totals = {stage: totals[stage] + counts[stage] for stage in totals}
        on_event(done)
    return totals


def no_edges() -> dict[str, EdgeCounts]:
    """The counts of no event, by stage."""
    return dict.fromkeys(STAGES, EdgeCounts())


def edges_of_run(
    pipeline: Pipeline, run: StageResults, candidates: TrackCandidates
) -> dict[str, NDArray[np.int64]]:
    """The edges that each stage left in an event, and those along the candidates."""
    above_cut = run.edge_scores > pipeline.config.track_building.score_cut
    return {
        "radius graph": run.radius_edges,
        "filter": run.filtered_edges,
        "gnn": run.filtered_edges[:, above_cut],
        "tracks": edges_of_candidates(candidates),
    }


def count_edges_of_event(
    kept: Mapping[str, NDArray[np.int64]],
    event: Event,
    truth: TruthEvent,
    criteria: Criteria,
) -> dict[str, EdgeCounts]:
    """Compare the edges of one event, by stage, with the true ones.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    particles, of_point = truth.particles, truth.particle_id
    try:
        vertices = production_vertices(of_point, particles)
    except ValueError as error:
        raise UnequalEventsError(f"truth of event {truth.event_id}: {error}") from error
    n_points = points_of_particles(particles.particle_id, of_point)
    wanted = particles.particle_id[criteria.passes(particles, n_points)]
    true = true_edges(of_point, event.xyz, vertices)
    of_interest = np.isin(of_point, wanted)
    return {
        stage: count_edges(edges, true, of_point, of_interest=of_interest)
        for stage, edges in kept.items()
    }


def edges_of_candidates(candidates: TrackCandidates) -> NDArray[np.int64]:
    """Pairs of space points that follow each other on a candidate, outward.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
    """
    inner, outer = candidates.space_points[:-1], candidates.space_points[1:]
    same = candidates.labels[inner] == candidates.labels[outer]
    return np.stack((inner[same], outer[same]))


def feature_scale(pipeline: Pipeline) -> FeatureScale:
    """What the pipeline's features are divided by."""
    r_mm, phi_rad, z_mm = pipeline.config.features.scales
    return FeatureScale(r_mm=r_mm, phi_rad=phi_rad, z_mm=z_mm)
