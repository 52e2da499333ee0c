"""Counts in bins of a particle's momentum, direction or production point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.criteria import Variable

__all__ = ["BIN_EDGES", "BinnedCounts", "in_bins", "no_bins"]

BIN_EDGES: Mapping[Variable, NDArray[np.float64]] = {
    "pt_gev": np.array([0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50]),
    "eta": np.linspace(-4.0, 4.0, 17),
    "production_radius_mm": np.array([0, 1, 2, 5, 10, 20, 40, 70, 110, 170, 300.0]),
}
"""Bins; the first and last ones take what lies beyond, too."""


@dataclass(frozen=True, slots=True, eq=False)
class BinnedCounts:
    """Those that pass, of those that there are, in bins of a variable."""

    edges: NDArray[np.float64]
    passed: NDArray[np.int64]
    total: NDArray[np.int64]

    def __add__(self, other: BinnedCounts) -> BinnedCounts:
        return BinnedCounts(
            self.edges, self.passed + other.passed, self.total + other.total
        )


def no_bins() -> dict[Variable, BinnedCounts]:
    """Empty bins of all variables."""
    return {
        name: BinnedCounts(edges, *np.zeros((2, len(edges) - 1), dtype=np.int64))
        for name, edges in BIN_EDGES.items()
    }


def in_bins(
    variable: Variable, values: NDArray[np.float64], passed: NDArray[np.bool_]
) -> BinnedCounts:
    """Count in the bins of a variable.

    Parameters
    ----------
    variable : {"pt_gev", "eta", "production_radius_mm"}
    values : ndarray, shape (n,), float64
        NaN is in no bin.
    passed : ndarray, shape (n,), bool
    """
    edges = BIN_EDGES[variable]
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    total, _ = np.histogram(inside, edges)
    among, _ = np.histogram(inside[passed], edges)
    return BinnedCounts(edges, among.astype(np.int64), total.astype(np.int64))
