"""The score of the TrackML challenge, and the weights of space points in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.figures import Summable, intervals
from producers.evaluation.matching import CandidateMatches
from producers.model.candidates import TrackCandidates
from producers.model.truth import Particles, TruthEvent
from producers.model.types import JsonObject

__all__ = ["TrackMLScore", "challenge_weights", "hit_weights", "score_event"]

ALONG_TRACK = np.array([10.0, 8.0, 6.0, 5.0, 3.0, 3.0, 3.0, 5.0, 6.0])
"""Weights at nine places from the first point of a particle to its last one."""

MIN_POINTS, MAX_POINTS = 4, 20
"""Particles of fewer than 4 points, and points after the 20th, have no weight."""

PT_GEV, PT_WEIGHT = (0.05, 0.5, 3.0), (0.2, 0.2, 1.0)
"""Linear between these; nothing below the first, 1 above the last."""


def hit_weights(
    truth: TruthEvent, xyz: NDArray[np.floating] | None
) -> NDArray[np.float64] | None:
    """Weights of an event's space points; they sum to 1, or to 0.

    The weights of the truth if it has some, as TrackML files do; else those that the
    challenge would give, which need positions; None without either.

    Parameters
    ----------
    truth : TruthEvent
    xyz : ndarray, shape (n_space_points, 3), floating, or None
        Positions in mm.

    Returns
    -------
    ndarray, shape (n_space_points,), float64, or None
    """
    if truth.weight is not None:
        weight = truth.weight.astype(np.float64)
    elif xyz is not None:
        weight = challenge_weights(truth.particle_id, truth.particles, xyz)
    else:
        return None
    total = weight.sum()
    return weight / total if total > 0.0 else weight


def challenge_weights(
    particle_id: NDArray[np.uint64], particles: Particles, xyz: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Weights as the TrackML challenge made them, not normalised.

    Each is the product of a weight of the place along the particle (first points count
    most, then the last ones; they sum to 1) and one of its transverse momentum.

    Parameters
    ----------
    particle_id : ndarray, shape (n_space_points,), uint64
        0 where a space point is on no particle: its weight is 0, as it is where the
        particle is not listed.
    particles : Particles
    xyz : ndarray, shape (n_space_points, 3), floating
        Positions in mm.

    Notes
    -----
    LAL/trackml-library, ``trackml/weights.py``. The library orders the points of a
    particle by the distance of their true positions from its vertex along the beam.
    Here it is the distance in space, because measured positions along the beam are too
    coarse in strips. In three events at pileup 40 that moves the score by under 0.0001.
    """
    weight = np.zeros(len(particle_id))
    points = np.flatnonzero(
        (particle_id != 0) & np.isin(particle_id, particles.particle_id)
    )
    by_id = np.argsort(particles.particle_id)
    found = np.searchsorted(particles.particle_id, particle_id[points], sorter=by_id)
    row = by_id[found]
    distance = np.linalg.norm(xyz[points] - particles.vertex_or_origin_mm[row], axis=1)
    order = np.lexsort((distance, row))
    points, row = points[order], row[order]

    n_points = np.bincount(row, minlength=len(particles))
    first = np.cumsum(n_points) - n_points
    place = np.arange(len(row)) - first[row]
    n_counted = np.minimum(n_points, MAX_POINTS)[row]
    scale = (len(ALONG_TRACK) - 1) / np.maximum(n_counted - 1, 1)
    along = np.interp(place * scale, np.arange(len(ALONG_TRACK)), ALONG_TRACK)
    along[(place >= MAX_POINTS) | (n_counted < MIN_POINTS)] = 0.0
    of_particle = np.bincount(row, along, minlength=len(particles))
    along /= np.where(of_particle > 0.0, of_particle, 1.0)[row]
    of_pt = np.interp(particles.pt_gev, PT_GEV, PT_WEIGHT, left=0.0)
    weight[points] = along * of_pt[row]
    return weight


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackMLScore(Summable):
    """Mean of the events' scores.

    Attributes
    ----------
    n_events : int
        Events that have a score, because their space points have weights.
    found : float
        Sum of the events' scores.
    squares : float
        Sum over all particles of their squared weights, which sum to 1 in an event.
    """

    n_events: int = 0
    found: float = 0.0
    squares: float = 0.0

    @property
    def value(self) -> float:
        """The score, from 0 to 1; NaN if no event has one."""
        return self.found / self.n_events if self.n_events else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of its interval.

        Notes
        -----
        Clopper and Pearson's interval for the effective number of particles, that is
        the number of equal particles that would give the same spread: the squared sum
        of the weights over the sum of their squares (Kish, Survey Sampling, 1965).
        A particle found in part spreads less than that.
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
            return "not known: its weights need positions: give events (--events)"
        low, high = self.interval
        return f"{self.value:.4f} (+{high - self.value:.4f} -{self.value - low:.4f})"

    def to_dict(self) -> JsonObject:
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

    A candidate of any size counts if more than half of its space points are on a
    particle, and these are more than half of the particle's. It adds the weights of the
    points that they share; its points on other particles, or on none, change nothing.

    Parameters
    ----------
    candidates : TrackCandidates
    matches : CandidateMatches
        The matches of these candidates.
    particle_id : ndarray, shape (n_space_points,), uint64
    weight : ndarray, shape (n_space_points,), float64, or None
        As `hit_weights` gives them. Without weights, or if all are 0, the event has no
        score.

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
