"""How well weights find the tracks of events that were kept for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exatrkx_pipeline import Pipeline
from producers import Event, TrackCandidates
from producers.evaluation import (
    Criteria,
    EvaluationCounts,
    EvaluationReport,
    Ratio,
    count_event,
)
from producers.model.features import node_features
from producers.readers import TruthEvent
from sonic_tracking.jobs.stage_edges import (
    count_edges_of_event,
    edges_of_run,
    feature_scale,
    no_edges,
)
from sonic_tracking.progress import progress

__all__ = ["score_samples", "scores_to_dict"]

MIN_SPACE_POINTS = 3


def score_samples(
    pipeline: Pipeline, samples: Mapping[str, Sequence[tuple[Event, TruthEvent]]]
) -> dict[str, EvaluationReport]:
    """Find the tracks of each sample's events, and compare them with the truth.

    Samples without events are left out.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    return {
        name: _score(name, pipeline, events)
        for name, events in samples.items()
        if events
    }


def _score(
    name: str, pipeline: Pipeline, events: Sequence[tuple[Event, TruthEvent]]
) -> EvaluationReport:
    criteria, scale = Criteria(), feature_scale(pipeline)
    counts, edges = EvaluationCounts(), no_edges()
    with progress(f"score {name}", len(events), unit="events") as report:
        for done, (event, truth) in enumerate(events, start=1):
            run = pipeline.run(node_features(event.xyz, scale))
            candidates = TrackCandidates.from_components(
                run.labels, event.xyz, min_space_points=MIN_SPACE_POINTS
            )
            counts += count_event(candidates, truth, criteria, event.xyz)
            kept = edges_of_run(pipeline, run, candidates)
            found = count_edges_of_event(kept, event, truth, criteria)
            edges = {stage: edges[stage] + found[stage] for stage in edges}
            report(done)
    return EvaluationReport(counts=counts, criteria=criteria, edges=edges)


# Any: TOML values of several kinds.
def scores_to_dict(scores: Mapping[str, EvaluationReport]) -> dict[str, Any]:
    """What weights say of themselves; plain values for TOML, which has no null.

    All samples together, and where there are several, each of them.
    """
    together = _one_to_dict(_together(scores.values()))
    if len(scores) > 1:
        together["samples"] = {
            name: _one_to_dict(each) for name, each in scores.items()
        }
    return together


def _together(reports: Iterable[EvaluationReport]) -> EvaluationReport:
    total = EvaluationReport(
        counts=EvaluationCounts(), criteria=Criteria(), edges=no_edges()
    )
    for report in reports:
        total = replace(
            total,
            counts=total.counts + report.counts,
            edges={s: total.edges[s] + report.edges[s] for s in total.edges},
        )
    return total


# Any: TOML values of several kinds.
def _one_to_dict(scores: EvaluationReport) -> dict[str, Any]:
    ratios = {
        "efficiency": scores.efficiency(),
        "fake_rate": scores.fake_rate(),
        "duplicate_rate": scores.duplicate_rate(),
        "displaced_efficiency": scores.displaced_efficiency(),
    }
    return {
        "n_events": scores.counts.n_events,
        "n_space_points": scores.counts.n_space_points,
        "particles": str(scores.criteria),
        **{name: _plain(ratio) for name, ratio in ratios.items()},
        "edges": {
            stage.replace(" ", "_"): {
                "efficiency": _plain(edges.efficiency),
                "purity": _plain(edges.purity),
            }
            for stage, edges in scores.edges.items()
        },
    }


def _plain(ratio: Ratio) -> dict[str, Any]:
    return {k: v for k, v in ratio.to_dict().items() if v is not None}
