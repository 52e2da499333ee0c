"""Which edges each stage of the pipeline keeps, against the true ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.stages import StageResults
from producers import Event, FeatureScale, TrackCandidates, UnequalEventsError
from producers.evaluation import (
    Criteria,
    EdgeCounts,
    count_edges,
    points_of_particles,
    production_vertices,
    true_edges,
)
from producers.model.features import node_features
from producers.readers import TruthEvent

__all__ = [
    "count_edges_of_event",
    "count_stage_edges",
    "edges_of_candidates",
    "edges_of_run",
    "feature_scale",
    "no_edges",
]

STAGES = ("radius graph", "filter", "gnn", "tracks")


def count_stage_edges(
    pipeline: Pipeline,
    events: Iterable[tuple[Event, TrackCandidates, TruthEvent]],
    criteria: Criteria,
    on_event: Callable[[int], None],
) -> dict[str, EdgeCounts]:
    """Run the pipeline anew and count the edges that each stage leaves.

    Parameters
    ----------
    pipeline : Pipeline
        With the weights that found the candidates.
    events : iterable of (Event, TrackCandidates, TruthEvent)
    criteria : Criteria
        Particles whose true edges make the efficiency.
    on_event : callable
        Called with the number of events done.

    Returns
    -------
    dict of str to EdgeCounts
        ``radius graph``, ``filter``, ``gnn`` (above its cut), and ``tracks``: points
        next to each other on a candidate.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    totals = no_edges()
    for done, (event, candidates, truth) in enumerate(events, start=1):
        run = pipeline.run(node_features(event.xyz, feature_scale(pipeline)))
        kept = edges_of_run(pipeline, run, candidates)
        counts = count_edges_of_event(kept, event, truth, criteria)
        totals = {stage: totals[stage] + counts[stage] for stage in totals}
        on_event(done)
    return totals


def no_edges() -> dict[str, EdgeCounts]:
    """The counts of no event, by stage."""
    return dict.fromkeys(STAGES, EdgeCounts())


def edges_of_run(
    pipeline: Pipeline, run: StageResults, candidates: TrackCandidates
) -> dict[str, NDArray[np.int64]]:
    """The edges that each stage left in an event, and those along the candidates."""
    above_cut = run.edge_scores > pipeline.config.track_building.score_cut
    return {
        "radius graph": run.radius_edges,
        "filter": run.filtered_edges,
        "gnn": run.filtered_edges[:, above_cut],
        "tracks": edges_of_candidates(candidates),
    }


def count_edges_of_event(
    kept: Mapping[str, NDArray[np.int64]],
    event: Event,
    truth: TruthEvent,
    criteria: Criteria,
) -> dict[str, EdgeCounts]:
    """Compare the edges of one event, by stage, with the true ones.

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


def edges_of_candidates(candidates: TrackCandidates) -> NDArray[np.int64]:
    """Pairs of space points that follow each other on a candidate, outward.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
    """
    inner, outer = candidates.space_points[:-1], candidates.space_points[1:]
    same = candidates.labels[inner] == candidates.labels[outer]
    return np.stack((inner[same], outer[same]))


def feature_scale(pipeline: Pipeline) -> FeatureScale:
    """What the pipeline's features are divided by."""
    r_mm, phi_rad, z_mm = pipeline.config.features.scales
    return FeatureScale(r_mm=r_mm, phi_rad=phi_rad, z_mm=z_mm)
