"""Figures of an evaluation: fractions of counts with intervals, also in bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.criteria import Variable
from producers.model.types import JsonObject, Untyped
from sonic_base import ConfigError

__all__ = [
    "AXIS_LABELS",
    "BIN_EDGES",
    "COVERAGE",
    "BinnedCounts",
    "Ratio",
    "Summable",
    "count_in_bins",
    "intervals",
    "no_bins",
]

COVERAGE = 0.682689
"""Central coverage of all intervals: that of one standard deviation."""


@dataclass(frozen=True, slots=True)
class Summable:
    """Base of dataclasses of counts: ``first + second`` adds them field by field."""

    def __add__(self, other: Self) -> Self:
        names = [each.name for each in fields(self)]
        return type(self)(
            **{name: _sum(getattr(self, name), getattr(other, name)) for name in names}
        )


# Any: numbers, arrays, and mappings of them.
def _sum(first: Any, second: Any) -> Any:
    if isinstance(first, Mapping):
        return {name: _sum(first[name], second[name]) for name in first}
    return first + second


def intervals(
    passed: NDArray[np.number], total: NDArray[np.number]
) -> NDArray[np.float64]:
    """Clopper-Pearson intervals of binomial fractions.

    Parameters
    ----------
    passed, total : ndarray, shape (n,)
        Counts, or effective counts, which may be fractional. 0 of 0 is allowed.

    Returns
    -------
    ndarray, shape (2, n), float64
        Lower and upper ends at the coverage `COVERAGE`; 0 and 1 for 0 of 0.

    Raises
    ------
    ConfigError
        If the extra ``plot``, which has hist and scipy, is not installed.
    ValueError
        If `passed` is larger than `total`.

    Notes
    -----
    Clopper and Pearson, Biometrika 26 (1934) 404, as in `hist.intervals`: it never
    covers less than it says, also near 0 and 1, where tracking efficiencies are.
    """
    try:
        from hist.intervals import clopper_pearson_interval  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            "evaluation needs the package hist: pip install 'sonic-tracking[plot]'"
        ) from error
    ends: NDArray[np.float64] = clopper_pearson_interval(
        np.asarray(passed), np.asarray(total), coverage=COVERAGE
    )
    return ends


class Ratio(NamedTuple):
    """A fraction of counts."""

    passed: int
    total: int

    @property
    def value(self) -> float:
        """The fraction; NaN for 0 of 0."""
        return self.passed / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the Clopper-Pearson interval."""
        low, high = intervals(np.array([self.passed]), np.array([self.total]))
        return float(low[0]), float(high[0])

    def __str__(self) -> str:
        if not self.total:
            return "none to count"
        low, high = self.interval
        return (
            f"{self.value:.4f} (+{high - self.value:.4f} -{self.value - low:.4f}), "
            f"{self.passed} of {self.total}"
        )

    def to_dict(self) -> JsonObject:
        """Return plain values for JSON; the value of 0 of 0 is None."""
        low, high = self.interval
        return {
            "value": self.value if self.total else None,
            "low": low,
            "high": high,
            "passed": self.passed,
            "total": self.total,
        }


BIN_EDGES: Mapping[Variable, NDArray[np.float64]] = {
    "pt_gev": np.array([0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50]),
    "eta": np.linspace(-4.0, 4.0, 17),
    "production_radius_mm": np.array([0, 1, 2, 5, 10, 20, 40, 70, 110, 170, 300.0]),
}
"""Bins; the first and the last one also take the values beyond them."""

AXIS_LABELS: Mapping[Variable, str] = {
    "pt_gev": r"particle $p_\mathrm{T}$ [GeV]",
    "eta": r"particle $\eta$",
    "production_radius_mm": "production radius [mm]",
}


@dataclass(frozen=True, slots=True, eq=False)
class BinnedCounts(Summable):
    """Counts of all and of those that pass, in bins of a variable.

    Attributes
    ----------
    passed, total : ndarray, shape (n_bins,), int64
    """

    passed: NDArray[np.int64]
    total: NDArray[np.int64]

    def to_dict(self, variable: Variable) -> JsonObject:
        """Return plain values for JSON; the value of 0 of 0 is None."""
        low, high = intervals(self.passed, self.total)
        ratios = map(Ratio, self.passed.tolist(), self.total.tolist())
        return {
            "edges": BIN_EDGES[variable].tolist(),
            "value": [ratio.value if ratio.total else None for ratio in ratios],
            "low": low.tolist(),
            "high": high.tolist(),
            "passed": self.passed.tolist(),
            "total": self.total.tolist(),
        }

    def to_hist(self, variable: Variable) -> Untyped:
        """Return a `hist.Hist` with the axes `variable` and ``passed``, a Boolean.

        Raises
        ------
        ConfigError
            If the extra ``plot`` is not installed.
        """
        try:
            import hist  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigError(
                "histograms need the package hist: pip install 'sonic-tracking[plot]'"
            ) from error
        histogram = hist.Hist(
            hist.axis.Variable(
                BIN_EDGES[variable],
                name=variable,
                label=AXIS_LABELS[variable],
                flow=False,
            ),
            hist.axis.Boolean(name="passed"),
            storage=hist.storage.Int64(),
        )
        histogram[...] = np.column_stack((self.total - self.passed, self.passed))
        return histogram


def no_bins() -> dict[Variable, BinnedCounts]:
    """Return empty bins of all variables."""
    return {
        name: BinnedCounts(*np.zeros((2, len(edges) - 1), dtype=np.int64))
        for name, edges in BIN_EDGES.items()
    }


def count_in_bins(
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
    return BinnedCounts(among.astype(np.int64), total.astype(np.int64))
