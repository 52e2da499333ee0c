"""Candidates that are not on one helix, split into parts that are."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import RefinementConfig
from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.tracks.refinement.chains import LEAST_POINTS, MOST_POINTS, Chains
from exatrkx_pipeline.tracks.refinement.helix import (
    N_PARAMETERS,
    Tolerances,
    copy_point,
    fit_helix,
    misfit,
    worst_misfit,
)

SPAN_MM = 30.0
"""Least distance of a triplet's ends: a shorter one does not determine a helix."""


def split_tracks(
    labels: NDArray[np.int64], xyz: NDArray[np.float64], config: RefinementConfig
) -> NDArray[np.int64]:
    """The partition with every chain split into parts that each lie on one helix.

    A chain with all points on its own fitted helix is kept. Otherwise the helix through
    three of its points that has the most of them on it takes those, again and again;
    points on no helix are left alone. Chains are short, so all triplets are tried, as
    in RANSAC with every sample (Fischler and Bolles, CACM 24 (1981) 381).

    Parameters
    ----------
    labels : ndarray, shape (n_space_points,), int64
        Candidate of each point.
    xyz : ndarray, shape (n_space_points, 3), float64
        In mm, sorted outward.
    config : RefinementConfig
        Tolerances.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Numbers from 0.
    """
    chains = Chains.of(labels, xyz, config)
    part = np.zeros(len(labels), dtype=np.int64)
    bad = np.flatnonzero(chains.misfits > 1.0)
    _split(xyz, chains, bad, Tolerances.of(config), part)
    split: NDArray[np.int64] = np.unique(
        labels * (MOST_POINTS + 1) + part, return_inverse=True
    )[1]
    return split


@compiled
def _split(xyz, chains, bad, tolerances, part):
    """Split chains.

    Parameters
    ----------
    xyz : ndarray, shape (n_space_points, 3), float64
    chains : Chains
    bad : ndarray, int64
        Numbers of the chains.
    tolerances : Tolerances
    part : ndarray, shape (n_space_points,), int64
        Written for the points of these chains: number of the part within the chain.
    """
    points, starts = chains.points, chains.starts
    rest = np.empty(MOST_POINTS, np.int64)
    own_xyz, helix = np.empty((MOST_POINTS, 3)), np.empty(N_PARAMETERS)
    is_held = np.empty(MOST_POINTS, np.bool_)
    for chain in bad:
        n = starts[chain + 1] - starts[chain]
        for i in range(n):
            rest[i] = points[starts[chain] + i]
        number = 0
        while n >= LEAST_POINTS:
            for i in range(n):
                copy_point(xyz, rest[i], own_xyz, i)
            fit_helix(own_xyz, n, helix)
            if worst_misfit(own_xyz, n, helix, tolerances) <= 1.0:
                for i in range(n):
                    part[rest[i]] = number
                number, n = number + 1, 0
                break
            n_held = _hold_most(own_xyz[:n], tolerances, is_held)
            if n_held < LEAST_POINTS:
                break
            n_rest = 0
            for i in range(n):
                if is_held[i]:
                    part[rest[i]] = number
                else:
                    rest[n_rest] = rest[i]
                    n_rest += 1
            number, n = number + 1, n_rest
        for i in range(n):
            part[rest[i]] = number
            number += 1


@compiled
def _hold_most(xyz, tolerances, is_held):
    """Find the points on the helix of the best triplet; their number.

    The best one has the most points on it, and of equals the smallest sum of misfits.

    Parameters
    ----------
    xyz : ndarray, shape (n, 3), float64
    tolerances : Tolerances
    is_held : ndarray, shape (n,) or more, bool
        Written: whether each point is on the helix.
    """
    n = len(xyz)
    triplet, helix = np.empty((3, 3)), np.empty(N_PARAMETERS)
    holds = np.empty(n, np.bool_)
    most, least_sum = 0, np.inf
    for i in range(n - 2):
        for k in range(i + 2, n):
            if _distance2(xyz, i, k) < SPAN_MM * SPAN_MM:
                continue
            for j in range(i + 1, k):
                copy_point(xyz, i, triplet, 0)
                copy_point(xyz, j, triplet, 1)
                copy_point(xyz, k, triplet, 2)
                fit_helix(triplet, 3, helix)
                n_held, total = 0, 0.0
                for m in range(n):
                    point = (xyz[m, 0], xyz[m, 1], xyz[m, 2])
                    miss = misfit(point, helix, tolerances)
                    holds[m] = miss <= 1.0
                    n_held += holds[m]
                    total += miss * holds[m]
                if n_held > most or (n_held == most and total < least_sum):
                    most, least_sum = n_held, total
                    for m in range(n):
                        is_held[m] = holds[m]
    return most


@compiled
def _distance2(xyz, i, k):
    total = 0.0
    for axis in range(3):
        total += (xyz[k, axis] - xyz[i, axis]) ** 2
    return total
