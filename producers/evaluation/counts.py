"""What is counted, and adds up over events, files and workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.binned import BinnedCounts, no_bins
from producers.evaluation.criteria import Variable
from producers.evaluation.matching import (
    MATCHING_STYLES,
    MatchingStyle,
)
from producers.evaluation.trackml_score import TrackMLScore

__all__ = ["MAX_SIZE", "BinsByStyle", "EvaluationCounts"]

BinsByStyle: TypeAlias = Mapping[MatchingStyle, Mapping[Variable, BinnedCounts]]

MAX_SIZE = 30
"""Candidates of so many space points or more are counted together."""


def _no_sizes() -> NDArray[np.int64]:
    return np.zeros(MAX_SIZE + 1, dtype=np.int64)


def _no_bins() -> BinsByStyle:
    return {style: no_bins() for style in MATCHING_STYLES}


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
    n_physical, n_physical_found : int
        The same of all particles listed that pass the other cuts, however many space
        points they left.
    n_displaced : int
        Particles that pass the cuts for displaced ones.
    found_displaced : mapping of str to int
        By style: those found.
    found : mapping of str to int
        By style of matching: fiducial particles found.
    matched : mapping of str to int
        By style: candidates matched to any particle.
    distinct : mapping of str to int
        By style: different particles among these.
    found_in_bins : mapping of str to mapping of str to BinnedCounts
        By style, then variable, whose own cut is left out: particles found.
    fakes_in_bins : mapping of str to mapping of str to BinnedCounts
        The same for candidates matched to no particle, of all. The variables are those
        of the particle with most of their space points; candidates without one are in
        no bin.
    duplicates_in_bins : mapping of str to mapping of str to BinnedCounts
        The same for candidates beyond the first of their particle, of those matched.
    score : TrackMLScore
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
    n_physical: int = 0
    n_physical_found: int = 0
    n_displaced: int = 0
    found_displaced: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    found: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    matched: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    distinct: Mapping[MatchingStyle, int] = field(default_factory=_no_styles)
    found_in_bins: BinsByStyle = field(default_factory=_no_bins)
    fakes_in_bins: BinsByStyle = field(default_factory=_no_bins)
    duplicates_in_bins: BinsByStyle = field(default_factory=_no_bins)
    score: TrackMLScore = field(default_factory=TrackMLScore)
    sizes: NDArray[np.int64] = field(default_factory=_no_sizes)
    fake_sizes: NDArray[np.int64] = field(default_factory=_no_sizes)

    @property
    def binned(self) -> Mapping[Variable, BinnedCounts]:
        """Particles found by double majority, by variable."""
        return self.found_in_bins["double_majority"]

    @property
    def fakes(self) -> Mapping[Variable, BinnedCounts]:
        """Candidates matched to no particle by double majority, by variable."""
        return self.fakes_in_bins["double_majority"]

    @property
    def duplicates(self) -> Mapping[Variable, BinnedCounts]:
        """Candidates beyond the first by majority: by double majority are none."""
        return self.duplicates_in_bins["majority"]

    def __add__(self, other: EvaluationCounts) -> EvaluationCounts:
        sums = {
            each.name: _sum(getattr(self, each.name), getattr(other, each.name))
            for each in fields(self)
        }
        return EvaluationCounts(**sums)


# Any: numbers, arrays, and mappings of them.
def _sum(first: Any, second: Any) -> Any:
    if isinstance(first, Mapping):
        return {name: _sum(first[name], second[name]) for name in first}
    return first + second
