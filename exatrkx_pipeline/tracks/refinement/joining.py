"""Parts of one particle's path, found by following the helix of one to the other."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import RefinementConfig
from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.tracks.refinement.chains import MOST_POINTS, Chains
from exatrkx_pipeline.tracks.refinement.helix import (
    N_PARAMETERS,
    fit_helix,
    worst_misfit,
)
from exatrkx_pipeline.tracks.refinement.rings import (
    MOST_NEAR,
    UNKNOWN,
    WIDTH_MM,
    Rings,
    near_in_ring,
    no_crossings,
)

ROUNDS = 3
"""A chain is joined with one other a round: three rounds join eight parts."""

WIDER = 4.0
"""How much wider the tolerances are where a short part's helix is followed; the two
parts together must then keep to the tolerances as they are."""

OVERLAP_MM = 8.0
"""Two parts may overlap by this, in distance from the origin: points on overlapping
modules of one layer."""

MOST_PARTNERS = 32
"""Parts that are tried for each end of a chain, the nearest first."""


def join_tracks(
    labels: NDArray[np.int64],
    xyz: NDArray[np.float64],
    rings: Rings,
    config: RefinementConfig,
) -> NDArray[np.int64]:
    """The partition with parts joined that follow each other on one helix.

    Candidates hard enough to be kept are followed from both ends. Of the pairs that one
    helix holds, those with the best fit and the smallest gap are joined first; each
    chain with one other in a round, and what was joined is followed again.

    Parameters
    ----------
    labels : ndarray, shape (n_space_points,), int64
        Candidate of each point.
    xyz : ndarray, shape (n_space_points, 3), float64
        In mm, sorted outward.
    rings : Rings
        Of the same points.
    config : RefinementConfig
        Tolerances, reach, and the momentum that counts.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Labels of before, fewer of them.
    """
    is_new = np.ones(int(labels.max()) + 1, dtype=np.bool_)
    for _ in range(ROUNDS):
        chains = Chains.of(labels, xyz, config)
        is_followed = chains.is_hard(config) & is_new[chains.labels]
        inner, outer, cost = _pairs(
            chains, np.flatnonzero(is_followed), xyz, rings, config
        )
        if not len(cost):
            break
        order = np.argsort(cost, kind="stable")
        becomes, is_new = np.arange(len(is_new)), np.zeros_like(is_new)
        _join_once(inner[order], outer[order], chains.labels, becomes, is_new)
        labels = becomes[labels]
    return labels


def _pairs(
    chains: Chains,
    followed: NDArray[np.int64],
    xyz: NDArray[np.float64],
    rings: Rings,
    config: RefinementConfig,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Inner and outer chain of each pair that one helix holds, and its cost."""
    tolerances = config.transverse_mm, config.longitudinal_mm
    n_most = 2 * MOST_PARTNERS * len(followed)
    inner, outer = np.empty(n_most, np.int64), np.empty(n_most, np.int64)
    n_pairs = _follow(
        xyz,
        rings,
        chains.points,
        chains.starts,
        chains.chain_of,
        chains.helices,
        followed,
        config.join_reach_mm,
        WIDER * tolerances[0],
        WIDER * tolerances[1],
        inner,
        outer,
    )
    codes = np.unique(inner[:n_pairs] * len(chains) + outer[:n_pairs])
    inner, outer = np.divmod(codes, max(len(chains), 1))
    distance = np.linalg.norm(xyz, axis=1)
    gap = distance[chains.first[outer]] - distance[chains.last[inner]]
    n_both = chains.n_points[inner] + chains.n_points[outer]
    apart = (gap > -OVERLAP_MM) & (n_both <= MOST_POINTS)
    inner, outer, gap = inner[apart], outer[apart], gap[apart]
    misfits = np.empty(len(inner))
    _fit_pairs(xyz, chains.points, chains.starts, inner, outer, *tolerances, misfits)
    fit = misfits <= 1.0
    return inner[fit], outer[fit], (misfits + gap / config.join_reach_mm)[fit]


@compiled
def _follow(  # noqa: PLR0917
    xyz,
    rings,
    points,
    starts,
    chain_of,
    helices,
    followed,
    reach,
    transverse,
    longitudinal,
    inner,
    outer,
):
    """Pairs of a chain and one that has a point near its helix; how many."""
    near, misfits = np.empty(MOST_NEAR, np.int64), np.empty(MOST_NEAR)
    crossings = no_crossings(rings)
    n_rings = len(rings.starts) - 1
    n_pairs = 0
    for chain in followed:
        helix = helices[chain]
        crossings[:] = UNKNOWN
        first, last = points[starts[chain]], points[starts[chain + 1] - 1]
        for step in (1, -1):
            end = last if step > 0 else first
            r = np.sqrt(xyz[end, 0] ** 2 + xyz[end, 1] ** 2)
            ring = int(r / WIDTH_MM)
            stop = int(max(r + step * reach, 0.0) / WIDTH_MM)
            begin = n_pairs
            while 0 <= ring < n_rings and (stop - ring) * step >= 0:
                n_near = near_in_ring(
                    xyz, rings, ring, helix, crossings, transverse, longitudinal,
                    near, misfits,
                )  # fmt: skip
                for k in range(n_near):
                    other = chain_of[near[k]]
                    if other < 0 or other == chain:
                        continue
                    low, high = (chain, other) if step > 0 else (other, chain)
                    is_new = n_pairs - begin < MOST_PARTNERS
                    for m in range(begin, n_pairs):
                        if inner[m] == low and outer[m] == high:
                            is_new = False
                    if is_new:
                        inner[n_pairs], outer[n_pairs] = low, high
                        n_pairs += 1
                ring += step
    return n_pairs


@compiled
def _fit_pairs(  # noqa: PLR0917
    xyz, points, starts, inner, outer, transverse, longitudinal, misfits
):
    both, helix = np.empty((2 * MOST_POINTS, 3)), np.empty(N_PARAMETERS)
    for pair in range(len(inner)):
        n = 0
        for chain in (inner[pair], outer[pair]):
            for place in range(starts[chain], starts[chain + 1]):
                both[n] = xyz[points[place]]
                n += 1
        fit_helix(both, n, helix)
        misfits[pair] = worst_misfit(both, n, helix, transverse, longitudinal)


@compiled
def _join_once(inner, outer, labels, becomes, is_new):
    is_joined = np.zeros(len(labels), np.bool_)
    for pair in range(len(inner)):
        a, b = inner[pair], outer[pair]
        if not is_joined[a] and not is_joined[b]:
            is_joined[a] = is_joined[b] = True
            becomes[labels[b]] = labels[a]
            is_new[labels[a]] = True
