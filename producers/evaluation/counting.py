"""The counts of one event."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.binned import BIN_EDGES, BinnedCounts, in_bins
from producers.evaluation.counts import MAX_SIZE, EvaluationCounts
from producers.evaluation.criteria import Criteria, Variable
from producers.evaluation.hit_weights import hit_weights
from producers.evaluation.matching import (
    MATCHING_STYLES,
    CandidateMatches,
    MatchingStyle,
    match_candidates,
    points_of_particles,
)
from producers.evaluation.trackml_score import score_event
from producers.model.candidates import TrackCandidates
from producers.model.truth import Particles, TruthEvent

__all__ = ["count_event"]

TECHNICAL_SPACE_POINTS = 3


def count_event(
    candidates: TrackCandidates,
    truth: TruthEvent,
    criteria: Criteria,
    xyz: NDArray[np.floating] | None = None,
) -> EvaluationCounts:
    """Count one event.

    Parameters
    ----------
    candidates : TrackCandidates
    truth : TruthEvent
    criteria : Criteria
    xyz : ndarray, shape (n_space_points, 3), floating, optional
        Positions in mm: without them, an event whose truth has no weights has no
        TrackML score.

    Raises
    ------
    ValueError
        If truth and candidates have different numbers of space points.
    """
    matches = match_candidates(candidates, truth.particle_id)
    particles = truth.particles
    n_points = points_of_particles(particles.particle_id, truth.particle_id)
    is_large = matches.n_space_points >= criteria.min_candidate_space_points
    is_matched = {s: matches.is_matched(s) & is_large for s in MATCHING_STYLES}
    is_found = {
        style: np.isin(particles.particle_id, matches.particle_id[matched])
        for style, matched in is_matched.items()
    }
    by_double = is_found["double_majority"]
    is_fiducial = criteria.passes(particles, n_points)
    is_displaced = criteria.displaced().passes(particles, n_points)
    is_technical, is_physical = (
        criteria.passes(particles, n_points, min_space_points=least)
        for least in (TECHNICAL_SPACE_POINTS, 0)
    )
    return EvaluationCounts(
        n_events=1,
        n_space_points=len(truth.particle_id),
        n_candidates=int(is_large.sum()),
        n_small_candidates=int((~is_large).sum()),
        n_fiducial=int(is_fiducial.sum()),
        n_technical=int(is_technical.sum()),
        n_technical_found=int((is_technical & by_double).sum()),
        n_physical=int(is_physical.sum()),
        n_physical_found=int((is_physical & by_double).sum()),
        n_displaced=int(is_displaced.sum()),
        found_displaced=_n_among(is_found, is_displaced),
        found=_n_among(is_found, is_fiducial),
        matched={s: int(is_matched[s].sum()) for s in MATCHING_STYLES},
        distinct={s: _n_distinct(matches, is_matched[s]) for s in MATCHING_STYLES},
        found_in_bins={
            style: {
                name: _efficiency_in_bins(name, particles, n_points, found, criteria)
                for name in BIN_EDGES
            }
            for style, found in is_found.items()
        },
        fakes_in_bins={
            style: _of_best_particles(matches, particles, is_large, is_large & ~matched)
            for style, matched in is_matched.items()
        },
        duplicates_in_bins={
            style: _of_best_particles(
                matches, particles, matched, _beyond_the_first(matches, matched)
            )
            for style, matched in is_matched.items()
        },
        score=score_event(
            candidates, matches, truth.particle_id, hit_weights(truth, xyz)
        ),
        sizes=_by_size(matches.n_space_points),
        fake_sizes=_by_size(
            matches.n_space_points[is_large & ~is_matched["double_majority"]]
        ),
    )


def _n_among(
    found: Mapping[MatchingStyle, NDArray[np.bool_]], counted: NDArray[np.bool_]
) -> dict[MatchingStyle, int]:
    return {style: int((found[style] & counted).sum()) for style in MATCHING_STYLES}


def _n_distinct(matches: CandidateMatches, matched: NDArray[np.bool_]) -> int:
    return len(np.unique(matches.particle_id[matched]))


def _efficiency_in_bins(
    variable: Variable,
    particles: Particles,
    n_points: NDArray[np.int64],
    found: NDArray[np.bool_],
    criteria: Criteria,
) -> BinnedCounts:
    counted = criteria.passes(particles, n_points, but=variable)
    values: NDArray[np.float64] = getattr(particles, variable)
    return in_bins(variable, values[counted], found[counted])


def _of_best_particles(
    matches: CandidateMatches,
    particles: Particles,
    counted: NDArray[np.bool_],
    passed: NDArray[np.bool_],
) -> dict[Variable, BinnedCounts]:
    """Candidates in bins of the variables of the particle they have most points of."""
    counted = counted & np.isin(matches.particle_id, particles.particle_id)
    by_id = np.argsort(particles.particle_id)
    row = by_id[
        np.searchsorted(
            particles.particle_id, matches.particle_id[counted], sorter=by_id
        )
    ]
    return {
        name: in_bins(name, getattr(particles, name)[row], passed[counted])
        for name in BIN_EDGES
    }


def _beyond_the_first(
    matches: CandidateMatches, matched: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Matched candidates whose particle has another one before them."""
    candidates = np.flatnonzero(matched)
    _, first = np.unique(matches.particle_id[candidates], return_index=True)
    beyond = matched.copy()
    beyond[candidates[first]] = False
    return beyond


def _by_size(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.bincount(np.minimum(sizes, MAX_SIZE), minlength=MAX_SIZE + 1)
    return counts.astype(np.int64)
