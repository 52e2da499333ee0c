"""The score of the TrackML challenge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.matching import CandidateMatches
from producers.evaluation.ratio import intervals
from producers.model.candidates import TrackCandidates

__all__ = ["TrackMLScore", "score_event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackMLScore:
    """Mean of the events' scores; adds up over events.

    Attributes
    ----------
    n_events : int
        With a score: whose space points have weights.
    found : float
        Sum of the events' scores.
    squares : float
        Sum of the squared weights of all particles, an event's being 1 together.
    """

    n_events: int = 0
    found: float = 0.0
    squares: float = 0.0

    def __add__(self, other: TrackMLScore) -> TrackMLScore:
        return TrackMLScore(
            n_events=self.n_events + other.n_events,
            found=self.found + other.found,
            squares=self.squares + other.squares,
        )

    @property
    def value(self) -> float:
        """The score, from 0 to 1; NaN without an event that has one."""
        return self.found / self.n_events if self.n_events else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of its interval.

        Notes
        -----
        Particles count differently: as many as would give the same spread, if they
        counted alike, are put into Clopper and Pearson's interval (Kish, Survey
        Sampling, 1965: the effective number is the squared sum of weights over the
        sum of their squares). A particle found in part spreads less than that.
        """
        if not self.n_events:
            return 0.0, 1.0
        n_effective = self.n_events**2 / self.squares
        # Sums of many weights may end above 1 by a rounding error.
        n_found = min(self.value, 1.0) * n_effective
        low, high = intervals(np.array([n_found]), np.array([n_effective]))
        return float(low[0]), float(high[0])

    def __str__(self) -> str:
        if not self.n_events:
            return "not known: its weights take the events' positions (--events)"
        low, high = self.interval
        return f"{self.value:.4f} (+{high - self.value:.4f} -{self.value - low:.4f})"

    # Any: counts and fractions.
    def to_dict(self) -> Mapping[str, Any]:
        """Return plain values for JSON; None where there is no score."""
        low, high = self.interval
        return {
            "value": self.value if self.n_events else None,
            "low": low,
            "high": high,
            "events": self.n_events,
        }


def score_event(
    candidates: TrackCandidates,
    matches: CandidateMatches,
    particle_id: NDArray[np.uint64],
    weight: NDArray[np.float64] | None,
) -> TrackMLScore:
    """Score one event.

    A candidate of any size counts if it has more than half of its space points on a
    particle, and more than half of that particle's: with the weights of those that
    are on it. Points on other particles, or on none, neither add nor take away.

    Parameters
    ----------
    candidates : TrackCandidates
    matches : CandidateMatches
        Of these candidates.
    particle_id : ndarray, shape (n_space_points,), uint64
    weight : ndarray, shape (n_space_points,), float64, or None
        As `hit_weights` gives them. Without weights, or where all are 0, the event
        has no score.

    Notes
    -----
    LAL/trackml-library, ``trackml/score.py``; Amrouche et al., arXiv:1904.06778.
    """
    if weight is None or not weight.any():
        return TrackMLScore()
    good = matches.is_matched("double_majority")
    on_candidate = np.flatnonzero(candidates.labels >= 0)
    label = candidates.labels[on_candidate]
    counts = good[label] & (matches.particle_id[label] == particle_id[on_candidate])
    _, particle = np.unique(particle_id, return_inverse=True)
    of_particle = np.bincount(particle, weight)
    return TrackMLScore(
        n_events=1,
        found=float(weight[on_candidate[counts]].sum()),
        squares=float(np.square(of_particle).sum()),
    )
