"""Tracks against the truth: matching, efficiencies with intervals, reports, plots.

Not imported with `producers`: it needs the extra ``plot`` (hist, scipy, matplotlib,
mplhep), which is loaded when the first interval or plot is made.
"""

from producers.evaluation.binned import BinnedCounts
from producers.evaluation.comparison import evaluate
from producers.evaluation.counting import count_event
from producers.evaluation.counts import EvaluationCounts
from producers.evaluation.criteria import Criteria
from producers.evaluation.display import EventDisplay, first_display
from producers.evaluation.edges import (
    EdgeCounts,
    count_edges,
    production_vertices,
    true_edges,
)
from producers.evaluation.hit_weights import challenge_weights, hit_weights
from producers.evaluation.matching import (
    CandidateMatches,
    match_candidates,
    points_of_particles,
)
from producers.evaluation.pairing import events_with_truth
from producers.evaluation.plot import evaluation_page, write_page
from producers.evaluation.ratio import Ratio
from producers.evaluation.report import EvaluationReport
from producers.evaluation.stage_edges import candidate_edges, count_stage_edges
from producers.evaluation.trackml_score import TrackMLScore, score_event

__all__ = [
    "BinnedCounts",
    "CandidateMatches",
    "Criteria",
    "EdgeCounts",
    "EvaluationCounts",
    "EvaluationReport",
    "EventDisplay",
    "Ratio",
    "TrackMLScore",
    "candidate_edges",
    "challenge_weights",
    "count_edges",
    "count_event",
    "count_stage_edges",
    "evaluate",
    "evaluation_page",
    "events_with_truth",
    "first_display",
    "hit_weights",
    "match_candidates",
    "points_of_particles",
    "production_vertices",
    "score_event",
    "true_edges",
    "write_page",
]
