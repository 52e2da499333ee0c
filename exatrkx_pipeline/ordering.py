"""The order in which the pipeline sees space points: outward, and always the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import FeatureConfig
from exatrkx_pipeline.tracks.track_building import number_by_first_appearance


def outward_order(
    features: NDArray[np.float32], config: FeatureConfig
) -> NDArray[np.int64]:
    """Permutation that sorts space points by their distance from the origin.

    Parameters
    ----------
    features : ndarray, shape (n_space_points, 3), float32
        Scaled r, phi, z.
    config : FeatureConfig
        Their scales.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Index of the innermost point first. Ties are broken by r, phi and z, so the
        sorted points, and all that follows from them, do not depend on the input's
        order; points that agree in all three are interchangeable.

    Notes
    -----
    Distance is sqrt(r^2 + z^2), as tracking-as-a-service sorts its hits; an edge with
    row > column then points from the outer to the inner point.
    """
    r_scale, _, z_scale = config.scales
    r, phi, z = np.asarray(features, dtype=np.float64).T
    distance = np.hypot(r * r_scale, z * z_scale)
    order = np.argsort(distance)
    is_tie = np.diff(distance[order]) == 0.0
    if is_tie.any():  # rare, and sorting all by four keys takes ten times as long
        places = np.flatnonzero(np.append(is_tie, False) | np.append(False, is_tie))
        tied = order[places]
        by_all = np.lexsort((z[tied], phi[tied], r[tied], distance[tied]))
        order[places] = tied[by_all]
    return order


def in_input_order(
    components: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Labels of the points as they came, from the components of the sorted ones."""
    labels = np.empty_like(components)
    labels[order] = components
    return number_by_first_appearance(labels)
