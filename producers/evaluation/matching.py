"""The particle that each candidate found, from the space points they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from producers.model.candidates import TrackCandidates

__all__ = [
    "MATCHING_STYLES",
    "CandidateMatches",
    "EventDisplay",
    "MatchingStyle",
    "match_candidates",
    "points_of_particles",
]

MatchingStyle: TypeAlias = Literal["majority", "double_majority", "perfect"]

MATCHING_STYLES: tuple[MatchingStyle, ...] = get_args(MatchingStyle)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CandidateMatches:
    """For each candidate of an event, the particle with most of its space points.

    Attributes
    ----------
    particle_id : ndarray, shape (n_candidates,), uint64
        0 if none of the candidate's space points is on a particle. If several
        particles share equally many, the one with the smallest id.
    n_space_points : ndarray, shape (n_candidates,), int64
        Size of the candidate (n_t).
    n_shared : ndarray, shape (n_candidates,), int64
        Its space points on that particle (n_tp).
    n_particle : ndarray, shape (n_candidates,), int64
        Space points of that particle in the event (N_p).
    """

    particle_id: NDArray[np.uint64]
    n_space_points: NDArray[np.int64]
    n_shared: NDArray[np.int64]
    n_particle: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.particle_id)

    def is_matched(self, style: MatchingStyle) -> NDArray[np.bool_]:
        """Whether each candidate is matched to its particle.

        ``majority``: purity n_tp / n_t > 0.5. ``double_majority``: and completeness
        n_tp / N_p > 0.5. ``perfect``: n_tp = n_t = N_p.

        Notes
        -----
        gnn_tracking, ``metrics/cluster_metrics.py``; acorn calls double majority
        "two way".
        """
        is_matched: NDArray[np.bool_] = 2 * self.n_shared > self.n_space_points
        if style != "majority":
            is_matched &= 2 * self.n_shared > self.n_particle
        if style == "perfect":
            is_matched &= self.n_shared == self.n_space_points
            is_matched &= self.n_shared == self.n_particle
        return is_matched


def match_candidates(
    candidates: TrackCandidates, particle_id: NDArray[np.uint64]
) -> CandidateMatches:
    """Find the particle of each candidate of one event.

    Parameters
    ----------
    candidates : TrackCandidates
    particle_id : ndarray, shape (n_space_points,), uint64
        Particle of each space point; 0 where it is on none. Such points count for
        the size of a candidate, but match nothing.

    Raises
    ------
    ValueError
        If there is not one particle id per space point.
    """
    if particle_id.shape != candidates.labels.shape:
        raise ValueError(
            f"expected {len(candidates.labels)} particle ids, "
            f"got shape {particle_id.shape}"
        )
    ids, particle, n_points = np.unique(
        particle_id, return_inverse=True, return_counts=True
    )
    sizes = candidates.sizes
    candidate = np.repeat(np.arange(len(candidates)), sizes)
    # Pairs of candidate and particle as single numbers: a sparse matrix of counts.
    pairs, shared = np.unique(
        candidate * len(ids) + particle[candidates.space_points], return_counts=True
    )
    of_candidate, of_particle = np.divmod(pairs, max(len(ids), 1))
    real = ids[of_particle] != 0
    of_candidate, of_particle = of_candidate[real], of_particle[real]
    shared = shared[real]

    # The best pair comes first within each candidate; ids rise with their index.
    order = np.lexsort((of_particle, -shared, of_candidate))
    matched, first = np.unique(of_candidate[order], return_index=True)
    best = order[first]

    best_id = np.zeros(len(candidates), dtype=np.uint64)
    n_shared = np.zeros(len(candidates), dtype=np.int64)
    n_particle = np.zeros(len(candidates), dtype=np.int64)
    best_id[matched] = ids[of_particle[best]]
    n_shared[matched] = shared[best]
    n_particle[matched] = n_points[of_particle[best]]
    return CandidateMatches(
        particle_id=best_id,
        n_space_points=sizes,
        n_shared=n_shared,
        n_particle=n_particle,
    )


def points_of_particles(
    ids: NDArray[np.uint64], particle_id: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Count the space points of each particle: N_p.

    Parameters
    ----------
    ids : ndarray, shape (n_particles,), uint64
    particle_id : ndarray, shape (n_space_points,), uint64

    Returns
    -------
    ndarray, shape (n_particles,), int64
        Zero for a particle with none.
    """
    known, counts = np.unique(particle_id, return_counts=True)
    place = np.searchsorted(known, ids)
    has_any = np.isin(ids, known)
    n_points = np.zeros(len(ids), dtype=np.int64)
    n_points[has_any] = counts[place[has_any]]
    return n_points


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EventDisplay:
    """One event to draw: its space points and the candidates among them.

    Attributes
    ----------
    event_id : int
    xyz : ndarray, shape (n_space_points, 3), float32
        In mm.
    candidates : TrackCandidates
    is_matched : ndarray, shape (n_candidates,), bool
        By double majority.
    is_counted : ndarray, shape (n_candidates,), bool
        Candidates that are large enough.
    """

    event_id: int
    xyz: NDArray[np.float32]
    candidates: TrackCandidates
    is_matched: NDArray[np.bool_]
    is_counted: NDArray[np.bool_]
