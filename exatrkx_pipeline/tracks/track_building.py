"""Track building: from scored edges to a component number for every space point.

There are three methods. Edges have row > column, and space points are sorted
outward, so an edge leaves its inner point (column) and enters its outer one (row).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import TrackBuilder, TrackBuildingConfig
from exatrkx_pipeline.kernels.edge_loops import (
    best_edge_of_each,
    lowest_of_components,
    renumbered,
)
from exatrkx_pipeline.tracks.walkthrough import cc_and_walk

Edges = NDArray[np.int64]
Scores = NDArray[np.float32]

LABELS_PER_POINT = 8
"""Size of the table that labels are renumbered with, at most; beyond it, they are
sorted."""


def build_tracks(
    edge_index: Edges,
    scores: Scores,
    n_space_points: int,
    config: TrackBuildingConfig,
) -> NDArray[np.int64]:
    """Number of each space point's component.

    Parameters
    ----------
    edge_index : ndarray, shape (2, n_edges), int64
        Row > column, points sorted outward.
    scores : ndarray, shape (n_edges,), float32
        In [0, 1]; edges with a score <= `config.score_cut` are ignored.
    n_space_points : int
        Number of points, those without edges and the last ones included.
    config : TrackBuildingConfig
        Method and cuts.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Component numbers in order of first appearance. A point on no edge has a
        component of its own; zero points give shape (0,).
    """
    kept = scores > config.score_cut
    builder = BUILDERS[config.method]
    components = builder(edge_index[:, kept], scores[kept], n_space_points, config)
    return number_by_first_appearance(components)


def components(edge_index: Edges, n_space_points: int) -> NDArray[np.int64]:
    """Weakly connected components: a number for each point, the same within one."""
    row, col = edge_index
    found: NDArray[np.int64] = lowest_of_components(row, col, n_space_points)
    return found


def best_both_ways(edge_index: Edges, scores: Scores) -> NDArray[np.bool_]:
    """Edges that are the best one out of their inner and into their outer point.

    The junction removal of ACTS (``Plugins/Gnn/src/JunctionRemoval.cu``), with both
    conditions at once: every point keeps at most one edge each way, so components are
    chains. Of equal scores the first edge wins.
    """
    number = np.arange(len(scores))
    n_points = int(edge_index.max(initial=-1)) + 1
    into, out_of = (best_edge_of_each(end, scores, n_points)[end] for end in edge_index)
    both: NDArray[np.bool_] = (into == number) & (out_of == number)
    return both


def number_by_first_appearance(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition, its parts numbered 0, 1, ... as they first appear."""
    if not len(labels):
        return np.empty_like(labels)
    lowest = labels.min()
    n_labels = int(labels.max() - lowest) + 1
    if n_labels > LABELS_PER_POINT * len(labels):
        labels = np.unique(labels, return_inverse=True)[1]
        lowest, n_labels = 0, len(labels)
    numbered: NDArray[np.int64] = renumbered(labels - lowest, n_labels)
    return numbered


def _components(
    edges: Edges, scores: Scores, n: int, config: TrackBuildingConfig
) -> NDArray[np.int64]:
    del scores, config
    return components(edges, n)


def _junction_removal(
    edges: Edges, scores: Scores, n: int, config: TrackBuildingConfig
) -> NDArray[np.int64]:
    del config
    return components(edges[:, best_both_ways(edges, scores)], n)


def _cc_and_walk(
    edges: Edges, scores: Scores, n: int, config: TrackBuildingConfig
) -> NDArray[np.int64]:
    return cc_and_walk(
        edges,
        scores,
        components(edges, n),
        walk_min=config.walk_min,
        walk_add=config.walk_add,
    )


BUILDERS: dict[TrackBuilder, Callable[..., NDArray[np.int64]]] = {
    "components": _components,
    "junction_removal": _junction_removal,
    "cc_and_walk": _cc_and_walk,
}
