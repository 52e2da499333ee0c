"""Parts of one particle's path, joined by following the helix of one to the other."""

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
    Tolerances,
    copy_point,
    fit_helix,
    worst_misfit,
)
from exatrkx_pipeline.tracks.refinement.rings import (
    UNKNOWN,
    WIDTH_MM,
    HelixPath,
    Rings,
    near_in_ring,
    new_near,
    no_crossings,
)

ROUNDS = 3
"""In each round a chain is joined with one other: three rounds join eight parts."""

WIDER = 4.0
"""Factor of the tolerances where a short part's helix is followed; both parts together
must then keep the tolerances themselves."""

OVERLAP_MM = 8.0
"""Distance from the origin by which two parts may overlap: points on overlapping
modules of one layer."""

MOST_PARTNERS = 32
"""Most parts that are tried for each end of a chain, the nearest first."""


def join_tracks(
    labels: NDArray[np.int64], rings: Rings, config: RefinementConfig
) -> NDArray[np.int64]:
    """The partition with parts joined that follow each other on one helix.

    Candidates with enough momentum to be kept are followed from both ends. Of the pairs
    on one helix, those with the best fit and the smallest gap are joined first, each
    chain with one other in a round; joined chains are followed again.

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
        The previous labels, without those of joined candidates.
    """
    is_new = np.ones(int(labels.max()) + 1, dtype=np.bool_)
    for _ in range(ROUNDS):
        chains = Chains.of(labels, rings.xyz, config)
        is_followed = chains.is_hard(config) & is_new[chains.labels]
        inner, outer, cost = _pairs(chains, np.flatnonzero(is_followed), rings, config)
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
    rings: Rings,
    config: RefinementConfig,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Inner and outer chain of each pair on one helix, and its cost."""
    pairs = np.empty((2, 2 * MOST_PARTNERS * len(followed)), np.int64)
    wider = Tolerances.of(config, WIDER)
    n_pairs = _follow(rings, chains, followed, config.join_reach_mm, wider, pairs)
    n_chains = max(len(chains.labels), 1)
    codes = np.unique(pairs[0, :n_pairs] * n_chains + pairs[1, :n_pairs])
    inner, outer = np.divmod(codes, n_chains)
    distance = np.linalg.norm(rings.xyz, axis=1)
    gap = distance[chains.first[outer]] - distance[chains.last[inner]]
    n_both = chains.n_points[inner] + chains.n_points[outer]
    apart = (gap > -OVERLAP_MM) & (n_both <= MOST_POINTS)
    inner, outer, gap = inner[apart], outer[apart], gap[apart]
    misfits = np.empty(len(inner))
    _fit_pairs(rings.xyz, chains, (inner, outer), Tolerances.of(config), misfits)
    fit = misfits <= 1.0
    return inner[fit], outer[fit], (misfits + gap / config.join_reach_mm)[fit]


@compiled
def _follow(rings, chains, followed, reach, tolerances, pairs):  # noqa: PLR0917
    """Find pairs of a chain and one that has a point near its helix; their number.

    Parameters
    ----------
    rings : Rings
    chains : Chains
    followed : ndarray, int64
        Numbers of the chains whose helices are followed.
    reach : float
        How far beyond the ends, in radius, in mm.
    tolerances : Tolerances
    pairs : ndarray, shape (2, capacity), int64
        Written: inner and outer chain.
    """
    xyz, points, starts = rings.xyz, chains.points, chains.starts
    crossings, near = no_crossings(rings), new_near()
    n_rings = len(rings.starts) - 1
    n_pairs = 0
    for chain in followed:
        path = HelixPath(chains.helices[chain], crossings)
        crossings[:] = UNKNOWN
        first, last = points[starts[chain]], points[starts[chain + 1] - 1]
        for step in (1, -1):
            end = last if step > 0 else first
            r = np.sqrt(xyz[end, 0] ** 2 + xyz[end, 1] ** 2)
            ring = int(r / WIDTH_MM)
            stop = int(max(r + step * reach, 0.0) / WIDTH_MM)
            begin = n_pairs
            while 0 <= ring < n_rings and (stop - ring) * step >= 0:
                n_near = near_in_ring(rings, ring, path, tolerances, near)
                for k in range(n_near):
                    other = chains.chain_of[near.points[k]]
                    if other < 0 or other == chain:
                        continue
                    low, high = (chain, other) if step > 0 else (other, chain)
                    is_new = n_pairs - begin < MOST_PARTNERS
                    for m in range(begin, n_pairs):
                        if pairs[0, m] == low and pairs[1, m] == high:
                            is_new = False
                    if is_new:
                        pairs[0, n_pairs], pairs[1, n_pairs] = low, high
                        n_pairs += 1
                ring += step
    return n_pairs


@compiled
def _fit_pairs(xyz, chains, pairs, tolerances, misfits):
    """Fit a helix to each pair of inner and outer chain, and write its worst misfit."""
    inner, outer = pairs
    points, starts = chains.points, chains.starts
    both, helix = np.empty((2 * MOST_POINTS, 3)), np.empty(N_PARAMETERS)
    for pair in range(len(inner)):
        n = 0
        for chain in (inner[pair], outer[pair]):
            for place in range(starts[chain], starts[chain + 1]):
                copy_point(xyz, points[place], both, n)
                n += 1
        fit_helix(both, n, helix)
        misfits[pair] = worst_misfit(both, n, helix, tolerances)


@compiled
def _join_once(inner, outer, labels, becomes, is_new):
    """Join pairs of chains in their order, each chain at most once.

    Writes to `becomes` the new label of each old one, to `is_new` whether a label was
    joined to.
    """
    is_joined = np.zeros(len(labels), np.bool_)
    for pair in range(len(inner)):
        a, b = inner[pair], outer[pair]
        if not is_joined[a] and not is_joined[b]:
            is_joined[a] = is_joined[b] = True
            becomes[labels[b]] = labels[a]
            is_new[labels[a]] = True
