"""The edges that each stage of a tracking pipeline keeps, against the true ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from producers import TruthEvent
from producers.evaluation.criteria import Criteria
from producers.evaluation.edges import (
    EdgeCounts,
    count_edges,
    production_vertices,
    true_edges,
)
from producers.evaluation.matching import points_of_particles
from producers.model.candidates import TrackCandidates
from producers.model.errors import UnequalEventsError
from producers.model.event import Event

__all__ = ["candidate_edges", "count_stage_edges"]


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
