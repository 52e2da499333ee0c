"""Tracks against the truth: matching, efficiencies with intervals, reports, plots.

Not imported with `producers`: it needs the extra ``plot`` (hist, scipy, matplotlib,
mplhep), which is loaded when the first interval, histogram or plot is made.
"""

from producers.evaluation.comparison import evaluate, events_with_truth
from producers.evaluation.counting import EvaluationCounts, StyleCounts, count_event
from producers.evaluation.criteria import Criteria
from producers.evaluation.edges import (
    EdgeCounts,
    candidate_edges,
    count_edges,
    count_stage_edges,
    production_vertices,
    true_edges,
)
from producers.evaluation.figures import BinnedCounts, Ratio
from producers.evaluation.matching import (
    CandidateMatches,
    EventDisplay,
    match_candidates,
    points_of_particles,
)
from producers.evaluation.report import EvaluationReport
from producers.evaluation.scores import (
    TrackMLScore,
    challenge_weights,
    hit_weights,
    score_event,
)

__all__ = [
    "BinnedCounts",
    "CandidateMatches",
    "Criteria",
    "EdgeCounts",
    "EvaluationCounts",
    "EvaluationReport",
    "EventDisplay",
    "Ratio",
    "StyleCounts",
    "TrackMLScore",
    "candidate_edges",
    "challenge_weights",
    "count_edges",
    "count_event",
    "count_stage_edges",
    "evaluate",
    "events_with_truth",
    "hit_weights",
    "match_candidates",
    "points_of_particles",
    "production_vertices",
    "score_event",
    "true_edges",
]
