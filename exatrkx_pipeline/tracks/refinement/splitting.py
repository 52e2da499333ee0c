"""Candidates that lie on no one helix, split into parts that do."""

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
    fit_helix,
    misfit,
    worst_misfit,
)

SPAN_MM = 30.0
"""Least distance of a triplet's ends: a shorter one says nothing of a helix."""


def split_tracks(
    labels: NDArray[np.int64], xyz: NDArray[np.float64], config: RefinementConfig
) -> NDArray[np.int64]:
    """The partition with every chain split into parts that each lie on one helix.

    A chain whose own fit holds all its points is kept. From another, the helix through
    three of its points that holds the most of them takes those, again and again; what
    no helix holds is left as single points. All triplets are tried, as in RANSAC with
    every sample (Fischler and Bolles, CACM 24 (1981) 381): chains are short.

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
    is_bad = chains.misfits > 1.0
    _split(
        xyz,
        chains.points,
        chains.starts,
        np.flatnonzero(is_bad),
        config.transverse_mm,
        config.longitudinal_mm,
        part,
    )
    split: NDArray[np.int64] = np.unique(
        labels * (MOST_POINTS + 1) + part, return_inverse=True
    )[1]
    return split


@compiled
def _split(xyz, points, starts, bad, transverse, longitudinal, part):  # noqa: PLR0917
    rest = np.empty(MOST_POINTS, np.int64)
    own, helix = np.empty((MOST_POINTS, 3)), np.empty(N_PARAMETERS)
    is_held = np.empty(MOST_POINTS, np.bool_)
    for chain in bad:
        n = starts[chain + 1] - starts[chain]
        rest[:n] = points[starts[chain] : starts[chain + 1]]
        number = 0
        while n >= LEAST_POINTS:
            for i in range(n):
                own[i] = xyz[rest[i]]
            fit_helix(own, n, helix)
            if worst_misfit(own, n, helix, transverse, longitudinal) <= 1.0:
                part[rest[:n]] = number
                number, n = number + 1, 0
                break
            n_held = _hold_most(own, n, transverse, longitudinal, is_held)
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
def _hold_most(own, n, transverse, longitudinal, is_held):
    """Which points the helix of the best triplet holds, to `is_held`; how many.

    Of helices that hold as many the one with the smallest sum of misfits.
    """
    triplet, helix = np.empty((3, 3)), np.empty(N_PARAMETERS)
    holds = np.empty(n, np.bool_)
    most, least_sum = 0, np.inf
    for i in range(n - 2):
        for k in range(i + 2, n):
            if np.sum((own[k] - own[i]) ** 2) < SPAN_MM * SPAN_MM:
                continue
            for j in range(i + 1, k):
                triplet[0], triplet[1], triplet[2] = own[i], own[j], own[k]
                fit_helix(triplet, 3, helix)
                n_held, total = 0, 0.0
                for m in range(n):
                    x, y, z = own[m, 0], own[m, 1], own[m, 2]
                    miss = misfit(x, y, z, helix, transverse, longitudinal)
                    holds[m] = miss <= 1.0
                    n_held += holds[m]
                    total += miss * holds[m]
                if n_held > most or (n_held == most and total < least_sum):
                    most, least_sum = n_held, total
                    is_held[:n] = holds
    return most
