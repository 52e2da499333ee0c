"""Tracks against the truth, and the edges that the pipeline kept on the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
    node_features,
    open_events,
)
from producers import evaluation as producers_evaluation
from producers.evaluation import (
    Criteria,
    EdgeCounts,
    EvaluationReport,
    candidate_edges,
    count_stage_edges,
    events_with_truth,
)
from producers.io import iterating
from sonic_base import ConfigError, SonicError
from sonic_tracking.columns import PointColumns, TruthColumns, point_columns
from sonic_tracking.columns import truth_columns as columns_of_truth
from sonic_tracking.errors import MissingExtraError, needs_extra
from sonic_tracking.jobs.track import PathLike, TrackingResult
from sonic_tracking.outputs import check_outputs, write_json
from sonic_tracking.progress import progress_bar

if TYPE_CHECKING:
    from exatrkx_pipeline import Pipeline, StageResults

__all__ = ["evaluate"]

logger = logging.getLogger(__name__)

STAGES = ("radius graph", "filter", "gnn", "tracks")


def evaluate(
    tracks: TrackingResult | PathLike,
    truth: PathLike | Sequence[PathLike],
    *,
    events: PathLike | Sequence[PathLike] | None = None,
    weights: PathLike | None = None,
    columns: PointColumns = None,
    truth_columns: TruthColumns = None,
    unit: str | None = None,
    criteria: Criteria | None = None,
    json: PathLike | None = None,
    plot: PathLike | None = None,
    force: bool = False,
    progress: bool = False,
) -> EvaluationReport:
    """Compare tracks with the truth: ``sonic evaluate`` as a function.

    Where the events and the weights are at hand, the pipeline is run again to count
    the true edges that each of its stages keeps; otherwise the report's
    `edges_not_counted` says why not.

    Parameters
    ----------
    tracks : TrackingResult or path
        As `track` returned it, or a file that it wrote.
    truth : path, or sequence of paths
        ROOT files of the truth: one for each input, in the same order.
    events : path, or sequence of paths, optional
        The input of the tracks, if it was moved.
    weights : path or name, optional
        The weights that found the tracks, if they are not bundled ones.
    columns : ColumnMapping, mapping, or path of a TOML file, optional
        The tree and branches of the events, if they differ from those with which the
        tracks were found.
    truth_columns : TruthMapping, mapping, or path of a TOML file, optional
        The trees and branches of the truth, in the table ``truth`` of the file; by
        default those of a known format.
    unit : {"mm", "cm", "m", "um"}, optional
        Unit of positions and vertices in the files; by default that with which the
        tracks were found, and that of `truth_columns` or mm for the truth.
    criteria : Criteria, optional
        The particles and candidates that are counted; by default particles above
        1 GeV within abs(eta) < 2.5.
    json : path, optional
        File for all numbers, also in bins.
    plot : path, optional
        File for a page of plots: png, pdf or svg.
    force : bool
        Whether outputs that exist are replaced.
    progress : bool
        Whether to show the progress on stderr.

    Returns
    -------
    EvaluationReport

    Raises
    ------
    DataError
        If an input is wrong, or an output must not or cannot be written.
    ConfigError
        If an output is an input.
    WeightsError
        If the weights that are named cannot be read.
    MissingExtraError
        If hist or scipy (extra ``plot``) is not installed.

    Examples
    --------
    >>> from sonic_tracking import evaluate, track
    >>> report = evaluate(track("events.root"), truth="truth.root")
    >>> report.efficiency.value, report.fake_rate.value
    """
    with needs_extra("plot"):
        import hist.intervals  # noqa: F401, PLC0415 - before any work is done
    if not isinstance(tracks, TrackingResult | str | Path):
        raise ConfigError(
            "tracks must be the result of track(), or a file that it wrote, got "
            f"{type(tracks).__name__}"
        )
    file = tracks.path if isinstance(tracks, TrackingResult) else Path(tracks)
    if isinstance(tracks, TrackingResult) and weights is None:
        weights = tracks.weights
    truth_files, named_inputs = _paths(truth), _paths(events)
    weights = None if weights is None else Path(weights)
    json, plot = (None if path is None else Path(path) for path in (json, plot))
    criteria = criteria or Criteria()
    check_outputs(
        {"json": json, "plot": plot},
        inputs=(file, *truth_files, *named_inputs),
        force=force,
    )
    of_points = point_columns(columns, is_optional=True)
    found = TrackEvents(file)
    truth_mapping = columns_of_truth(truth_columns)
    true = TruthEvents(truth_files, columns=truth_mapping, unit=unit)
    used_unit = found.provenance.get("unit") or (
        found.provenance.get("columns") or {}
    ).get("unit", "mm")
    if used_unit != "mm" and unit is None and truth_mapping is None:
        logger.warning(
            "the events are in %s, the truth is taken to be in mm: if it is not, give "
            "its unit (--unit)",
            used_unit,
        )
    for remark in true.remarks:
        logger.warning("%s", remark)
    source, pipeline, reason = None, None, None
    try:
        source = _input_events(named_inputs, found, of_points, unit)
        pipeline = _pipeline_of(found, weights)
    except _EdgesNotCountedError as error:
        reason = str(error)
    with progress_bar(
        "evaluate", len(found), unit="events", is_shown=progress
    ) as report_progress:
        try:
            report = producers_evaluation.evaluate(
                found, true, events=source, criteria=criteria, on_event=report_progress
            )
        except UnequalEventsError as error:
            if isinstance(tracks, TrackingResult) and tracks.report.output is None:
                # Nobody knows the temporary file of the result.
                text = str(error).replace(str(file), "the result")
                raise UnequalEventsError(text) from None
            raise
    if source is not None and pipeline is not None:
        edges = _count_edges(pipeline, source, found, true, criteria, progress=progress)
        report = replace(report, edges=edges)
    report = replace(report, edges_not_counted=reason)
    if json is not None:
        remarks = {"truth_remarks": list(true.remarks)} if true.remarks else {}
        figures = report.to_dict()
        write_json(json, {**figures, "edges_not_counted": reason, **remarks})
    if plot is not None:
        report.plot(plot)
    return report


def no_edges() -> dict[str, EdgeCounts]:
    """Return the counts of no event, by stage."""
    return dict.fromkeys(STAGES, EdgeCounts())


def kept_edges(
    pipeline: Pipeline, run: StageResults, candidates: TrackCandidates
) -> dict[str, NDArray[np.int64]]:
    """Return the edges that each stage of `STAGES` left in an event.

    ``gnn`` has the edges above the score cut, ``tracks`` the pairs of neighbouring
    space points on a candidate.
    """
    above_cut = run.edge_scores > pipeline.config.track_building.score_cut
    return {
        "radius graph": run.radius_edges,
        "filter": run.filtered_edges,
        "gnn": run.filtered_edges[:, above_cut],
        "tracks": candidate_edges(candidates),
    }


class _EdgesNotCountedError(SonicError):
    """The edges behind the tracks cannot be found again; the message says why."""


def _paths(given: PathLike | Sequence[PathLike] | None) -> tuple[Path, ...]:
    if given is None:
        return ()
    if isinstance(given, str | Path):
        return (Path(given),)
    return tuple(map(Path, given))


def _pipeline_of(tracks: TrackEvents, weights: Path | None) -> Pipeline:
    """Load the weights that found the tracks: the named ones, or bundled ones."""
    try:
        with needs_extra("pipeline"):
            from exatrkx_pipeline import load_weights  # noqa: PLC0415 - loads torch
    except MissingExtraError as error:
        raise _EdgesNotCountedError(str(error)) from error
    used = tracks.provenance.get("weights_id")
    pipeline = load_weights(_bundled_with(used) if weights is None else weights)
    if pipeline.weights_id != used:
        raise _EdgesNotCountedError(
            f"the tracks were found with the weights {used}, not with "
            f"{pipeline.weights_id}: give its folder as weights (--weights)"
        )
    return pipeline


def _bundled_with(weights_id: object) -> Path:
    from exatrkx_pipeline.weights import (  # noqa: PLC0415 - loads torch
        bundled_names,
        bundled_weights,
        weights_id_of,
    )

    for folder in map(bundled_weights, bundled_names()):
        if weights_id_of(folder) == weights_id:
            return folder
    raise _EdgesNotCountedError(
        f"the tracks were found with the weights {weights_id}, which are not among "
        "the bundled ones: give its folder as weights (--weights)"
    )


def _input_events(
    named: tuple[Path, ...],
    tracks: TrackEvents,
    of_points: ColumnMapping | None,
    unit: str | None,
) -> EventSource:
    """Open the input that is named, or else the one that the tracks name."""
    provenance = tracks.provenance
    paths = named or tuple(provenance.get("inputs", ()))
    if not paths:
        raise _EdgesNotCountedError(
            "the tracks do not name their input: give it as events (--events)"
        )
    columns, scale = provenance.get("columns"), provenance.get("csv_scale")
    try:
        source = open_events(
            paths,
            format=provenance.get("format"),
            columns=of_points or (columns and ColumnMapping.from_dict(columns)),
            unit=unit or provenance.get("unit"),
            csv_scale=FeatureScale(**scale) if scale else None,
            max_events=len(tracks),
        )
    except DataError as error:
        if named:
            raise
        raise _EdgesNotCountedError(str(error)) from error
    if len(source) < len(tracks):
        raise _EdgesNotCountedError(
            f"{len(tracks)} events with tracks, {len(source)} in the events' files"
        )
    return source


def _count_edges(
    pipeline: Pipeline,
    source: EventSource,
    tracks: TrackEvents,
    truth: TruthEvents,
    criteria: Criteria,
    *,
    progress: bool,
) -> dict[str, EdgeCounts]:
    """Run the pipeline again and count the edges that each stage leaves."""
    totals, scale = no_edges(), FeatureScale(*pipeline.config.features.scales)
    with progress_bar(
        "count edges", len(source), unit="events", is_shown=progress
    ) as show:
        answered = _answered(source, tracks, truth)
        for done, (event, candidates, true) in enumerate(answered, start=1):
            features = node_features(event.xyz, scale)
            used = pipeline.for_event(features)
            run = used.run(features)
            kept = kept_edges(used, run, candidates)
            counts = count_stage_edges(kept, event, true, criteria)
            totals = {stage: totals[stage] + counts[stage] for stage in totals}
            show(done)
    return totals


def _answered(
    source: EventSource, tracks: TrackEvents, truth: TruthEvents
) -> Iterator[tuple[Event, TrackCandidates, TruthEvent]]:
    with (
        iterating(events_with_truth(source, truth)) as events,
        iterating(tracks) as found,
    ):
        for (event, true), track in zip(events, found, strict=True):
            if not track.is_failed:
                yield event, track.candidates, true
