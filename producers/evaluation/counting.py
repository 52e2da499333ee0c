"""The counts of an evaluation: of one event, and of many together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.criteria import Criteria, Variable
from producers.evaluation.figures import (
    BIN_EDGES,
    BinnedCounts,
    Ratio,
    Summable,
    count_in_bins,
    no_bins,
)
from producers.evaluation.matching import (
    MATCHING_STYLES,
    CandidateMatches,
    MatchingStyle,
    match_candidates,
    points_of_particles,
)
from producers.evaluation.scores import TrackMLScore, hit_weights, score_event
from producers.model.candidates import TrackCandidates
from producers.model.truth import Particles, TruthEvent

__all__ = ["MAX_SIZE", "EvaluationCounts", "StyleCounts", "count_event"]

MAX_SIZE = 30
"""Candidates of this many space points or more are counted together."""

TECHNICAL_SPACE_POINTS = 3

Bins = Mapping[Variable, BinnedCounts]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StyleCounts(Summable):
    """Counts by one style of matching.

    Attributes
    ----------
    n_fiducial, n_found : int
        Fiducial particles, and those that a candidate is matched to.
    n_displaced, n_displaced_found : int
        The same for particles that pass the cuts for displaced ones.
    n_candidates, n_matched : int
        Candidates, and those matched to any particle.
    n_distinct : int
        Different particles among these.
    found : mapping of str to BinnedCounts
        Fiducial particles that are found, by variable, whose own cut is left out.
    fakes : mapping of str to BinnedCounts
        Candidates matched to no particle, by variable of the particle with most of
        their space points; candidates without such a particle are in no bin.
    duplicates : mapping of str to BinnedCounts
        Matched candidates beyond the first of their particle, of those matched.
    """

    n_fiducial: int = 0
    n_found: int = 0
    n_displaced: int = 0
    n_displaced_found: int = 0
    n_candidates: int = 0
    n_matched: int = 0
    n_distinct: int = 0
    found: Bins = field(default_factory=no_bins)
    fakes: Bins = field(default_factory=no_bins)
    duplicates: Bins = field(default_factory=no_bins)

    @property
    def efficiency(self) -> Ratio:
        """Fiducial particles that a candidate is matched to / fiducial particles."""
        return Ratio(self.n_found, self.n_fiducial)

    @property
    def displaced_efficiency(self) -> Ratio:
        """The efficiency for particles produced further out."""
        return Ratio(self.n_displaced_found, self.n_displaced)

    @property
    def fake_rate(self) -> Ratio:
        """Candidates matched to no particle at all / candidates."""
        return Ratio(self.n_candidates - self.n_matched, self.n_candidates)

    @property
    def duplicate_rate(self) -> Ratio:
        """Matched candidates beyond the first of each particle / matched candidates.

        By double majority it is zero where candidates share no space point: two
        cannot each have more than half of one particle.

        Notes
        -----
        acorn, ``track_building_stage.py``, divides by the particles matched.
        """
        return Ratio(self.n_matched - self.n_distinct, self.n_matched)


def _no_styles() -> dict[MatchingStyle, StyleCounts]:
    return {style: StyleCounts() for style in MATCHING_STYLES}


def _no_sizes() -> NDArray[np.int64]:
    return np.zeros(MAX_SIZE + 1, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EvaluationCounts(Summable):
    """Counts over events; ``first + second`` is both together.

    Attributes
    ----------
    n_events, n_space_points : int
    n_small_candidates : int
        Candidates that are too small to be counted.
    n_technical, n_technical_found : int
        Particles that pass the cuts with at least 3 space points, and those found
        by double majority.
    n_physical, n_physical_found : int
        The same for all particles listed that pass the other cuts, however many space
        points they left.
    styles : mapping of str to StyleCounts
        The counts by each style of matching.
    score : TrackMLScore
    sizes, fake_sizes : ndarray, shape (MAX_SIZE + 1,), int64
        Candidates by number of space points, and those matched to no particle by
        double majority. Small candidates are in `sizes` only.
    """

    n_events: int = 0
    n_space_points: int = 0
    n_small_candidates: int = 0
    n_technical: int = 0
    n_technical_found: int = 0
    n_physical: int = 0
    n_physical_found: int = 0
    styles: Mapping[MatchingStyle, StyleCounts] = field(default_factory=_no_styles)
    score: TrackMLScore = field(default_factory=TrackMLScore)
    sizes: NDArray[np.int64] = field(default_factory=_no_sizes)
    fake_sizes: NDArray[np.int64] = field(default_factory=_no_sizes)

    @property
    def n_candidates(self) -> int:
        """Number of candidates that are large enough to be counted."""
        return self.styles["double_majority"].n_candidates

    @property
    def n_fiducial(self) -> int:
        """Number of fiducial particles."""
        return self.styles["double_majority"].n_fiducial


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
    event = _Event(matches, particles, n_points, criteria)
    is_double = matches.is_matched("double_majority") & event.is_large
    is_found = event.is_found(is_double)
    is_technical, is_physical = (
        criteria.passes(particles, n_points, min_space_points=least)
        for least in (TECHNICAL_SPACE_POINTS, 0)
    )
    return EvaluationCounts(
        n_events=1,
        n_space_points=len(truth.particle_id),
        n_small_candidates=int((~event.is_large).sum()),
        n_technical=int(is_technical.sum()),
        n_technical_found=int((is_technical & is_found).sum()),
        n_physical=int(is_physical.sum()),
        n_physical_found=int((is_physical & is_found).sum()),
        styles={style: event.count(style) for style in MATCHING_STYLES},
        score=score_event(
            candidates, matches, truth.particle_id, hit_weights(truth, xyz)
        ),
        sizes=_by_size(matches.n_space_points),
        fake_sizes=_by_size(matches.n_space_points[event.is_large & ~is_double]),
    )


class _Event:
    """The masks of one event's particles and candidates, made once for all styles."""

    def __init__(
        self,
        matches: CandidateMatches,
        particles: Particles,
        n_points: NDArray[np.int64],
        criteria: Criteria,
    ) -> None:
        self._matches, self._particles = matches, particles
        self.is_large = matches.n_space_points >= criteria.min_candidate_space_points
        self._is_fiducial = criteria.passes(particles, n_points)
        self._is_displaced = criteria.displaced().passes(particles, n_points)
        self._values: dict[Variable, NDArray[np.float64]] = {
            name: getattr(particles, name) for name in BIN_EDGES
        }
        self._counted = {
            name: criteria.passes(particles, n_points, but=name) for name in BIN_EDGES
        }
        # The row of the particle that each candidate has most space points of.
        self._has_particle = np.isin(matches.particle_id, particles.particle_id)
        by_id = np.argsort(particles.particle_id)
        place = np.searchsorted(
            particles.particle_id, matches.particle_id[self._has_particle], sorter=by_id
        )
        self._row = np.zeros(len(matches), dtype=np.int64)
        self._row[self._has_particle] = by_id[place]

    def is_found(self, is_matched: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the particles that one of the matched candidates is matched to."""
        matched = self._matches.particle_id[is_matched]
        return np.isin(self._particles.particle_id, matched)

    def count(self, style: MatchingStyle) -> StyleCounts:
        """Return the counts by one style."""
        is_matched = self._matches.is_matched(style) & self.is_large
        is_found = self.is_found(is_matched)
        matched = np.flatnonzero(is_matched)
        _, first = np.unique(self._matches.particle_id[matched], return_index=True)
        is_duplicate = is_matched.copy()
        is_duplicate[matched[first]] = False
        return StyleCounts(
            n_fiducial=int(self._is_fiducial.sum()),
            n_found=int((is_found & self._is_fiducial).sum()),
            n_displaced=int(self._is_displaced.sum()),
            n_displaced_found=int((is_found & self._is_displaced).sum()),
            n_candidates=int(self.is_large.sum()),
            n_matched=len(matched),
            n_distinct=len(first),
            found={
                name: count_in_bins(name, values[counted], is_found[counted])
                for name, values in self._values.items()
                for counted in (self._counted[name],)
            },
            fakes=self._candidates_in_bins(self.is_large, self.is_large & ~is_matched),
            duplicates=self._candidates_in_bins(is_matched, is_duplicate),
        )

    def _candidates_in_bins(
        self, counted: NDArray[np.bool_], passed: NDArray[np.bool_]
    ) -> dict[Variable, BinnedCounts]:
        """Count candidates in bins of the particle with most of their points."""
        counted = counted & self._has_particle
        row, passed = self._row[counted], passed[counted]
        return {
            name: count_in_bins(name, values[row], passed)
            for name, values in self._values.items()
        }


def _by_size(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.bincount(np.minimum(sizes, MAX_SIZE), minlength=MAX_SIZE + 1)
    return counts.astype(np.int64)
