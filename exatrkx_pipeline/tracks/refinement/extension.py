"""Points on no candidate, given to the one on whose helix they are."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import RefinementConfig
from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.tracks.refinement.chains import MOST_POINTS, Chains
from exatrkx_pipeline.tracks.refinement.helix import Tolerances
from exatrkx_pipeline.tracks.refinement.rings import (
    UNKNOWN,
    WIDTH_MM,
    HelixPath,
    Rings,
    near_in_ring,
    new_near,
    no_crossings,
)

PASSES = 6
"""In each pass a candidate takes one point at each end, and is fitted again."""

BESIDE_MM = 8.0
"""Radius by which a point may be on the inner side of the end that it extends: it may
be on an overlapping module of the same layer."""


def extend_tracks(
    labels: NDArray[np.int64], rings: Rings, config: RefinementConfig
) -> NDArray[np.int64]:
    """The partition with free points given to the candidates whose helix they are on.

    Points on candidates with fewer than three points are free. The longest candidates
    choose first. Each takes the closest point in the nearest ring that has one, at
    either end, and in rings between its ends where it has none.

    Parameters
    ----------
    labels : ndarray, shape (n_space_points,), int64
        Candidate of each point.
    rings : Rings
        The points, sorted outward.
    config : RefinementConfig
        Tolerances, reach, and the momentum that counts.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        The previous labels, of candidates that may have more points.
    """
    is_longer = np.ones(int(labels.max()) + 1, dtype=np.bool_)
    for _ in range(PASSES):
        chains = Chains.of(labels, rings.xyz, config)
        extended = np.flatnonzero(chains.is_hard(config) & is_longer[chains.labels])
        extended = extended[np.argsort(-chains.n_points[extended], kind="stable")]
        before = chains.chain_of.copy()
        _extend(rings, chains, extended, config.reach_mm, Tolerances.of(config))
        taken = np.flatnonzero(chains.chain_of != before)
        if not len(taken):
            break
        labels, is_longer = labels.copy(), np.zeros_like(is_longer)
        labels[taken] = chains.labels[chains.chain_of[taken]]
        is_longer[labels[taken]] = True
    return labels


@compiled
def _radius(xyz, point):
    return np.sqrt(xyz[point, 0] ** 2 + xyz[point, 1] ** 2)


@compiled
def _extend(rings, chains, extended, reach, tolerances):
    """Give free points to chains.

    Parameters
    ----------
    rings : Rings
    chains : Chains
        `chain_of` is modified.
    extended : ndarray, int64
        Numbers of the chains, in the order that they choose in.
    reach : float
        How far beyond the ends, in radius, in mm.
    tolerances : Tolerances
    """
    xyz, points, starts = rings.xyz, chains.points, chains.starts
    crossings, near = no_crossings(rings), new_near()
    n_rings = len(rings.starts) - 1
    own_rings = np.empty(MOST_POINTS, np.int64)
    for chain in extended:
        path = HelixPath(chains.helices[chain], crossings)
        crossings[:] = UNKNOWN
        own = points[starts[chain] : starts[chain + 1]]
        for k in range(len(own)):
            own_rings[k] = int(_radius(xyz, own[k]) / WIDTH_MM)
        r_low = _radius(xyz, own[0])
        r_high = _radius(xyz, own[-1])
        for step in (1, -1, 0):  # outward, inward, and then between the ends
            ring = int((r_high if step > 0 else r_low) / WIDTH_MM)
            stop = int((max(r_low - reach, 0.0) if step < 0 else r_high) / WIDTH_MM)
            if step > 0:
                stop = int((r_high + reach) / WIDTH_MM)
            while 0 <= ring < n_rings and (stop - ring) * (step if step else 1) >= 0:
                if step or not _is_taken(own_rings[: len(own)], ring):
                    n_near = near_in_ring(rings, ring, path, tolerances, near)
                    best, least = -1, np.inf
                    for k in range(n_near):
                        point = near.points[k]
                        r = _radius(xyz, point)
                        is_behind = (step > 0 and r < r_high - BESIDE_MM) or (
                            step < 0 and r > r_low + BESIDE_MM
                        )
                        is_free = chains.chain_of[point] < 0
                        if is_free and not is_behind and near.misfits[k] < least:
                            best, least = point, near.misfits[k]
                    if best >= 0:
                        chains.chain_of[best] = chain
                        if step:
                            break
                ring += step if step else 1


@compiled
def _is_taken(own_rings, ring):
    """Whether a chain with points in `own_rings` has one there or next to it."""
    for own in own_rings:  # noqa: SIM110 - numba has no any() of a generator
        if -1 <= own - ring <= 1:
            return True
    return False
