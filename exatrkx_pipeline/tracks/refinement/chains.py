"""Track candidates as chains of their points, innermost first, each with its helix."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import RefinementConfig
from exatrkx_pipeline.kernels.edge_loops import grouped
from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.tracks.refinement.helix import (
    GEV_PER_TESLA_MM,
    N_PARAMETERS,
    RADIUS,
    Tolerances,
    copy_point,
    fit_helix,
    worst_misfit,
)

LEAST_POINTS = 3
"""Points of a chain: fewer make no helix."""

MOST_POINTS = 32
"""Points of a chain: half a turn crosses some twenty layers. A larger candidate is a
tangle of many particles and is left as it is. Splitting a chain costs the fourth power
of its points: 6 ms for 32."""


class Chains(NamedTuple):
    """Candidates of `LEAST_POINTS` to `MOST_POINTS` points."""

    points: NDArray[np.int64]
    """Indices of their points, chain by chain, shape (n_points,)."""

    starts: NDArray[np.int64]
    """Where each chain starts in `points`, and the end, shape (n_chains + 1,)."""

    labels: NDArray[np.int64]
    """Label of each chain, shape (n_chains,)."""

    chain_of: NDArray[np.int64]
    """Chain of each point of the event, -1 for none, shape (n_space_points,)."""

    helices: NDArray[np.float64]
    """Helix of each chain, shape (n_chains, `N_PARAMETERS`), in mm."""

    misfits: NDArray[np.float64]
    """Misfit of each chain's worst point, in tolerances, shape (n_chains,)."""

    @classmethod
    def of(
        cls,
        labels: NDArray[np.int64],
        xyz: NDArray[np.float64],
        config: RefinementConfig,
    ) -> Self:
        """Chains of an event whose points are sorted outward.

        Parameters
        ----------
        labels : ndarray, shape (n_space_points,), int64
            Candidate of each point, numbers from 0; gaps cost only memory.
        xyz : ndarray, shape (n_space_points, 3), float64
            Positions in mm.
        config : RefinementConfig
            Tolerances.
        """
        n_labels = int(labels.max(initial=-1)) + 1
        return cls(*_chains(labels, n_labels, xyz, Tolerances.of(config)))

    @property
    def n_points(self) -> NDArray[np.int64]:
        """Points of each chain, shape (n_chains,)."""
        return np.diff(self.starts)

    @property
    def first(self) -> NDArray[np.int64]:
        """Innermost point of each chain, shape (n_chains,)."""
        return self.points[self.starts[:-1]]

    @property
    def last(self) -> NDArray[np.int64]:
        """Outermost point of each chain, shape (n_chains,)."""
        return self.points[self.starts[1:] - 1]

    def pt_gev(self, field_t: float) -> NDArray[np.float64]:
        """Transverse momentum of a unit charge on each helix, shape (n_chains,)."""
        return GEV_PER_TESLA_MM * field_t * self.helices[:, RADIUS]

    def is_hard(self, config: RefinementConfig) -> NDArray[np.bool_]:
        """Whether each chain is on a helix of enough momentum, shape (n_chains,)."""
        is_on_helix = self.misfits <= 1.0
        hard: NDArray[np.bool_] = is_on_helix & (
            self.pt_gev(config.field_t) >= config.min_pt_gev
        )
        return hard


@compiled
def _chains(labels, n_labels, xyz, tolerances):
    """The fields of `Chains`, in their order."""
    first_of_label, by_label = grouped(labels, n_labels)
    points, starts = np.empty(len(labels), np.int64), np.empty(n_labels + 1, np.int64)
    label_of, chain_of = np.empty(n_labels, np.int64), np.full(len(labels), -1)
    n_chains = n_points = 0
    starts[0] = 0
    for label in range(n_labels):
        first, end = first_of_label[label], first_of_label[label + 1]
        if LEAST_POINTS <= end - first <= MOST_POINTS:
            for point in by_label[first:end]:
                points[n_points] = point
                chain_of[point] = n_chains
                n_points += 1
            label_of[n_chains] = label
            n_chains += 1
            starts[n_chains] = n_points
    helices, misfits = np.empty((n_chains, N_PARAMETERS)), np.empty(n_chains)
    own_xyz = np.empty((MOST_POINTS, 3))
    for chain in range(n_chains):
        n = starts[chain + 1] - starts[chain]
        for i in range(n):
            copy_point(xyz, points[starts[chain] + i], own_xyz, i)
        fit_helix(own_xyz, n, helices[chain])
        misfits[chain] = worst_misfit(own_xyz, n, helices[chain], tolerances)
    return (
        points[:n_points],
        starts[: n_chains + 1],
        label_of[:n_chains],
        chain_of,
        helices,
        misfits,
    )
