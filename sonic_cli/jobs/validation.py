"""How well weights find the tracks of events that were kept for it."""

from __future__ import annotations

from collections.abc import Sequence
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
from producers.features import node_features
from producers.readers import TruthEvent
from sonic_cli.jobs.stage_edges import count_stage_edges, feature_scale
from sonic_cli.progress import progress

__all__ = ["score_tracks", "scores_to_dict"]

MIN_SPACE_POINTS = 3


def score_tracks(
    pipeline: Pipeline, events: Sequence[tuple[Event, TruthEvent]]
) -> EvaluationReport:
    """Find the tracks of these events, and compare them with the truth.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    criteria, scale = Criteria(), feature_scale(pipeline)
    counts, found = EvaluationCounts(), []
    for event, truth in events:
        labels = pipeline.labels(node_features(event.xyz, scale))
        candidates = TrackCandidates.from_components(
            labels, event.xyz, min_space_points=MIN_SPACE_POINTS
        )
        counts += count_event(candidates, truth, criteria)
        found.append((event, candidates, truth))
    with progress("score", len(found), unit="events") as report:
        edges = count_stage_edges(pipeline, found, criteria, report)
    return EvaluationReport(counts=counts, criteria=criteria, edges=edges)


# Any: TOML values of several kinds.
def scores_to_dict(scores: EvaluationReport) -> dict[str, Any]:
    """What weights say of themselves; plain values for TOML, which has no null."""
    ratios = {
        "efficiency": scores.efficiency(),
        "fake_rate": scores.fake_rate(),
        "duplicate_rate": scores.duplicate_rate(),
    }
    return {
        "n_events": scores.counts.n_events,
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
