"""Efficiency and purity of the edges that a stage of the pipeline keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.criteria import Criteria
from producers.evaluation.figures import Ratio, Summable
from producers.evaluation.matching import points_of_particles
from producers.model.candidates import TrackCandidates
from producers.model.errors import UnequalEventsError
from producers.model.event import Event
from producers.model.truth import Particles, TruthEvent
from producers.model.types import JsonObject

__all__ = [
    "EdgeCounts",
    "candidate_edges",
    "count_edges",
    "count_stage_edges",
    "production_vertices",
    "true_edges",
]


def true_edges(
    particle_id: NDArray[np.uint64],
    xyz: NDArray[np.floating],
    vertices: NDArray[np.floating],
) -> NDArray[np.int64]:
    """Pairs of space points that follow each other on a particle.

    Parameters
    ----------
    particle_id : ndarray, shape (n_space_points,), uint64
        0 where a space point is on no particle: no edge leads there.
    xyz : ndarray, shape (n_space_points, 3), floating
        Positions in mm.
    vertices : ndarray, shape (n_space_points, 3), floating
        Production vertex of each space point's particle, in mm; any value where it
        is on none.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
        From the inner to the outer point, by distance from the production vertex.

    Notes
    -----
    ACTS, ``Plugins/Gnn``, ``TruthGraphBuilder``: consecutive hits by distance from
    the production vertex.
    """
    on_particle = np.flatnonzero(particle_id != 0)
    offset = xyz[on_particle].astype(np.float64) - vertices[on_particle]
    distance = np.linalg.norm(offset, axis=1)
    order = on_particle[np.lexsort((distance, particle_id[on_particle]))]
    inner, outer = order[:-1], order[1:]
    same = particle_id[inner] == particle_id[outer]
    return np.stack((inner[same], outer[same])).astype(np.int64)


def production_vertices(
    particle_id: NDArray[np.uint64], particles: Particles
) -> NDArray[np.float32]:
    """Production vertex of each space point's particle.

    Parameters
    ----------
    particle_id : ndarray, shape (n_space_points,), uint64
    particles : Particles

    Returns
    -------
    ndarray, shape (n_space_points, 3), float32
        In mm; the origin if the truth has no vertices, NaN where a space point is on
        no particle.

    Raises
    ------
    ValueError
        If a space point is on a particle that is not listed.
    """
    vertices = np.full((len(particle_id), 3), np.nan, dtype=np.float32)
    by_id = np.argsort(particles.particle_id)
    on_particle = np.flatnonzero(particle_id != 0)
    ids = particle_id[on_particle]
    unknown = ids[~np.isin(ids, particles.particle_id)]
    if unknown.size:
        raise ValueError(f"particle {unknown[0]} of a space point is not listed")
    rows = by_id[np.searchsorted(particles.particle_id, ids, sorter=by_id)]
    vertices[on_particle] = particles.vertex_or_origin_mm[rows]
    return vertices


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCounts(Summable):
    """Edges kept by a stage, against the true ones.

    Attributes
    ----------
    n_true : int
        True edges of the particles of interest.
    n_found : int
        Those of them that the stage kept.
    n_edges : int
        Edges kept; a pair counts once, in either direction.
    n_edges_true : int
        Edges kept that are true edges of any particle.
    n_edges_same_particle : int
        Edges kept whose two points are on one particle, in sequence or not.
    """

    n_true: int = 0
    n_found: int = 0
    n_edges: int = 0
    n_edges_true: int = 0
    n_edges_same_particle: int = 0

    @property
    def efficiency(self) -> Ratio:
        """True edges kept / true edges, cumulative over the stages before."""
        return Ratio(self.n_found, self.n_true)

    @property
    def purity(self) -> Ratio:
        """True edges / edges kept (acorn's total purity)."""
        return Ratio(self.n_edges_true, self.n_edges)

    @property
    def target_purity(self) -> Ratio:
        """Purity without the true edges of other particles.

        Notes
        -----
        acorn, ``edge_classifier_stage.py``: masked purity,
        TP_target / (P - true edges of no target).
        """
        others = self.n_edges_true - self.n_found
        return Ratio(self.n_found, self.n_edges - others)

    @property
    def same_particle_purity(self) -> Ratio:
        """Pairs on one particle / edges kept (as HSF reports it for its GNN)."""
        return Ratio(self.n_edges_same_particle, self.n_edges)

    def to_dict(self) -> JsonObject:
        """Return plain values for JSON."""
        return {
            "efficiency": self.efficiency.to_dict(),
            "purity": self.purity.to_dict(),
            "target_purity": self.target_purity.to_dict(),
            "same_particle_purity": self.same_particle_purity.to_dict(),
        }


def count_edges(
    edge_index: NDArray[np.integer],
    truth: NDArray[np.integer],
    particle_id: NDArray[np.uint64],
    *,
    of_interest: NDArray[np.bool_] | None = None,
) -> EdgeCounts:
    """Count the edges of one event.

    Parameters
    ----------
    edge_index : ndarray, shape (2, n_edges), integer
        Edges kept, in either direction or both.
    truth : ndarray, shape (2, n_true_edges), integer
        True edges, as `true_edges` returns them.
    particle_id : ndarray, shape (n_space_points,), uint64
    of_interest : ndarray, shape (n_space_points,), bool, optional
        Space points of the particles whose edges count for the efficiency; by default
        all. Edges of other particles do not lower the purity.

    Notes
    -----
    acorn, ``edge_classifier_stage.py``: efficiency TP_target / true_target,
    total purity TP_all / P.
    """
    n_points = len(particle_id)
    kept, wanted = np.unique(_codes(edge_index, n_points)), _codes(truth, n_points)
    is_found = np.isin(wanted, kept)
    counts = np.ones(len(wanted), dtype=np.bool_)
    if of_interest is not None:
        counts = of_interest[truth[0]]
    first, second = np.divmod(kept, max(n_points, 1))
    same = (particle_id[first] == particle_id[second]) & (particle_id[first] != 0)
    return EdgeCounts(
        n_true=int(counts.sum()),
        n_found=int((is_found & counts).sum()),
        n_edges=len(kept),
        n_edges_true=int(is_found.sum()),
        n_edges_same_particle=int(same.sum()),
    )


def count_stage_edges(
    kept: Mapping[str, NDArray[np.int64]],
    event: Event,
    truth: TruthEvent,
    criteria: Criteria,
) -> dict[str, EdgeCounts]:
    """Compare the edges of one event, by stage, with the true ones.

    Parameters
    ----------
    kept : mapping of str to ndarray, shape (2, n_edges), int64
        Pairs of space points that each stage left.
    event : Event
    truth : TruthEvent
    criteria : Criteria
        Particles whose true edges make the efficiency.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    particles, of_point = truth.particles, truth.particle_id
    try:
        vertices = production_vertices(of_point, particles)
    except ValueError as error:
        raise UnequalEventsError(f"truth of event {truth.event_id}: {error}") from error
    n_points = points_of_particles(particles.particle_id, of_point)
    wanted = particles.particle_id[criteria.passes(particles, n_points)]
    true = true_edges(of_point, event.xyz, vertices)
    of_interest = np.isin(of_point, wanted)
    return {
        stage: count_edges(edges, true, of_point, of_interest=of_interest)
        for stage, edges in kept.items()
    }


def candidate_edges(candidates: TrackCandidates) -> NDArray[np.int64]:
    """Return the pairs of space points that follow each other on a candidate, outward.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
    """
    inner, outer = candidates.space_points[:-1], candidates.space_points[1:]
    same = candidates.labels[inner] == candidates.labels[outer]
    return np.stack((inner[same], outer[same]))


def _codes(edges: NDArray[np.integer], n_points: int) -> NDArray[np.int64]:
    """Return one number per pair, the same in both directions."""
    ends = np.sort(edges.astype(np.int64), axis=0)
    codes: NDArray[np.int64] = ends[0] * n_points + ends[1]
    return codes
