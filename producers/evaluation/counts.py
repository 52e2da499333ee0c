"""What is counted in each event, and adds up over events, files and workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from producers.candidates import TrackCandidates
from producers.evaluation.criteria import Criteria, Variable
from producers.evaluation.matching import (
    MATCHING_STYLES,
    CandidateMatches,
    MatchingStyle,
    match_candidates,
    points_of_particles,
)
from producers.readers.truth import TruthEvent

__all__ = ["BIN_EDGES", "MAX_SIZE", "BinnedCounts", "EvaluationCounts", "count_event"]

BIN_EDGES: Mapping[Variable, NDArray[np.float64]] = {
    "pt_gev": np.array([0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50]),
    "eta": np.linspace(-4.0, 4.0, 17),
    "production_radius_mm": np.array([0, 1, 2, 5, 10, 20, 40, 70, 110, 170, 300.0]),
}
"""Bins of the efficiency; the last ones take what lies above, too."""

MAX_SIZE = 30
"""Candidates of so many space points or more are counted together."""

TECHNICAL_SPACE_POINTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class BinnedCounts:
    """Particles found, of those that there are, in bins of a variable."""

    edges: NDArray[np.float64]
    passed: NDArray[np.int64]
    total: NDArray[np.int64]

    def __add__(self, other: BinnedCounts) -> BinnedCounts:
        return BinnedCounts(
            self.edges, self.passed + other.passed, self.total + other.total
        )


def _no_bins() -> dict[Variable, BinnedCounts]:
    return {
        name: BinnedCounts(edges, *np.zeros((2, len(edges) - 1), dtype=np.int64))
        for name, edges in BIN_EDGES.items()
    }


def _no_sizes() -> NDArray[np.int64]:
    return np.zeros(MAX_SIZE + 1, dtype=np.int64)


def _no_styles() -> dict[MatchingStyle, int]:
    return dict.fromkeys(MATCHING_STYLES, 0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EvaluationCounts:
    """Counts over events; ``first + second`` is both together.

    Attributes
    ----------
    n_events, n_space_points : int
    n_candidates : int
        Large enough to be counted.
    n_small_candidates : int
        Others.
    n_fiducial : int
        Fiducial particles.
    n_technical, n_technical_found : int
        Particles that pass the cuts with at least 3 space points, and those found
        by double majority.
    found : mapping of str to int
        By style of matching: fiducial particles found.
    matched : mapping of str to int
        By style: candidates matched to any particle.
    distinct : mapping of str to int
        By style: different particles among these.
    binned : mapping of str to BinnedCounts
        Found by double majority, by variable; the variable's own cut is left out.
    sizes, fake_sizes : ndarray, shape (MAX_SIZE + 1,), int64
        Candidates by number of space points, and those matched to no particle by
        double majority. Small candidates are in `sizes` only.
    """

    n_events: int = 0
    n_space_points: int = 0
    n_candidates: int = 0
    n_small_candidates: int = 0
    n_fiducial: int = 0
    n_technical: int = 0
    n_technical_found: int = 0
    found: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    matched: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    distinct: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    binned: Mapping[Variable, BinnedCounts] = field(default_factory=_no_bins)
    sizes: NDArray[np.int64] = field(default_factory=_no_sizes)
    fake_sizes: NDArray[np.int64] = field(default_factory=_no_sizes)

    def __add__(self, other: EvaluationCounts) -> EvaluationCounts:
        return EvaluationCounts(
            n_events=self.n_events + other.n_events,
            n_space_points=self.n_space_points + other.n_space_points,
            n_candidates=self.n_candidates + other.n_candidates,
            n_small_candidates=self.n_small_candidates + other.n_small_candidates,
            n_fiducial=self.n_fiducial + other.n_fiducial,
            n_technical=self.n_technical + other.n_technical,
            n_technical_found=self.n_technical_found + other.n_technical_found,
            found={s: self.found[s] + other.found[s] for s in MATCHING_STYLES},
            matched={s: self.matched[s] + other.matched[s] for s in MATCHING_STYLES},
            distinct={s: self.distinct[s] + other.distinct[s] for s in MATCHING_STYLES},
            binned={v: self.binned[v] + other.binned[v] for v in BIN_EDGES},
            sizes=self.sizes + other.sizes,
            fake_sizes=self.fake_sizes + other.fake_sizes,
        )


def count_event(
    candidates: TrackCandidates, truth: TruthEvent, criteria: Criteria
) -> EvaluationCounts:
    """Count one event.

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
    is_fiducial = criteria.passes(particles, n_points)
    is_technical = criteria.passes(
        particles, n_points, min_space_points=TECHNICAL_SPACE_POINTS
    )
    by_double = is_found["double_majority"]
    return EvaluationCounts(
        n_events=1,
        n_space_points=len(truth.particle_id),
        n_candidates=int(is_large.sum()),
        n_small_candidates=int((~is_large).sum()),
        n_fiducial=int(is_fiducial.sum()),
        n_technical=int(is_technical.sum()),
        n_technical_found=int((is_technical & by_double).sum()),
        found={s: int((is_found[s] & is_fiducial).sum()) for s in MATCHING_STYLES},
        matched={s: int(is_matched[s].sum()) for s in MATCHING_STYLES},
        distinct={s: _n_distinct(matches, is_matched[s]) for s in MATCHING_STYLES},
        binned={
            name: _in_bins(
                getattr(particles, name),
                by_double,
                criteria.passes(particles, n_points, but=name),
                edges,
            )
            for name, edges in BIN_EDGES.items()
        },
        sizes=_by_size(matches.n_space_points),
        fake_sizes=_by_size(
            matches.n_space_points[is_large & ~is_matched["double_majority"]]
        ),
    )


def _n_distinct(matches: CandidateMatches, matched: NDArray[np.bool_]) -> int:
    return len(np.unique(matches.particle_id[matched]))


def _in_bins(
    values: NDArray[np.float64],
    found: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    edges: NDArray[np.float64],
) -> BinnedCounts:
    inside = np.minimum(values, np.nextafter(edges[-1], -np.inf))
    passed, _ = np.histogram(inside[found & counted], edges)
    total, _ = np.histogram(inside[counted], edges)
    return BinnedCounts(edges, passed.astype(np.int64), total.astype(np.int64))


def _by_size(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.bincount(np.minimum(sizes, MAX_SIZE), minlength=MAX_SIZE + 1)
    return counts.astype(np.int64)
