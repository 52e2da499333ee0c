"""The refinement of one event's track candidates, step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import RefinementConfig
from exatrkx_pipeline.tracks.refinement.chains import Chains
from exatrkx_pipeline.tracks.refinement.extension import extend_tracks
from exatrkx_pipeline.tracks.refinement.joining import join_tracks
from exatrkx_pipeline.tracks.refinement.rings import Rings
from exatrkx_pipeline.tracks.refinement.splitting import split_tracks


def refine_tracks(
    labels: NDArray[np.int64], xyz: NDArray[np.float64], config: RefinementConfig
) -> NDArray[np.int64]:
    """Candidates split and joined to lie on helices, extended, and selected.

    Parameters
    ----------
    labels : ndarray, shape (n_space_points,), int64
        Candidate of each point, numbers from 0, as from `track_building.build_tracks`.
    xyz : ndarray, shape (n_space_points, 3), float64
        Positions in mm, sorted outward, the field along z.
    config : RefinementConfig
        Field, tolerances, selection.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Number of each point's candidate; a point on none that was kept has a number of
        its own. Zero points give shape (0,).
    """
    if not len(labels):
        return labels
    rings = Rings.of(xyz)
    labels = split_tracks(labels, xyz, config)
    labels = join_tracks(labels, rings, config)
    labels = extend_tracks(labels, rings, config)
    labels = split_tracks(labels, xyz, config)
    labels = join_tracks(labels, rings, config)
    return _selected(labels, xyz, config)


def _selected(
    labels: NDArray[np.int64], xyz: NDArray[np.float64], config: RefinementConfig
) -> NDArray[np.int64]:
    chains = Chains.of(labels, xyz, config)
    is_kept = np.bincount(labels) >= config.min_space_points
    soft = chains.pt_gev(config.field_t) < config.min_pt_gev
    is_kept[chains.labels[soft]] = False
    alone = len(is_kept) + np.arange(len(labels))
    return np.where(is_kept[labels], labels, alone)
