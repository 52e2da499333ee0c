"""From scored edges to track candidates: built from the graph, refined in space."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import RefinementConfig, TrackBuildingConfig
from exatrkx_pipeline.stages.inputs import Cylindrical
from exatrkx_pipeline.tracks.refinement import refine_tracks
from exatrkx_pipeline.tracks.track_building import build_tracks


def track_candidates(
    edge_index: NDArray[np.int64],
    scores: NDArray[np.float32],
    points: Cylindrical,
    splits: NDArray[np.int64],
    *,
    building: TrackBuildingConfig,
    refinement: RefinementConfig | None,
) -> NDArray[np.int64]:
    """Candidate of each space point, for one or several events side by side.

    Parameters
    ----------
    edge_index : ndarray, shape (2, n_edges), int64
        Row > column, no edge from one event to another.
    scores : ndarray, shape (n_edges,), float32
        In [0, 1].
    points : Cylindrical
        Points of the events, each sorted outward.
    splits : ndarray, shape (n_events + 1,), int64
        Offsets of the points of at least one event.
    building : TrackBuildingConfig
        Method and cuts.
    refinement : RefinementConfig or None
        How the candidates of each event are refined; None leaves them as they are.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Numbers from 0, with gaps, that tell candidates of one event apart.
    """
    components = build_tracks(edge_index, scores, len(points.r), building)
    if refinement is None:
        return components
    xyz = points.positions_mm()
    refined = [
        refine_tracks(components[start:stop], xyz[start:stop], refinement)
        for start, stop in pairwise(splits.tolist())
    ]
    return np.concatenate(refined)
