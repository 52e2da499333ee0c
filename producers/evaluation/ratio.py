"""Fractions of counts, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonic_base.errors import ConfigError

__all__ = ["COVERAGE", "Ratio", "intervals"]

COVERAGE = 0.682689
"""Central coverage of all intervals: that of one standard deviation."""


def intervals(
    passed: NDArray[np.number], total: NDArray[np.number]
) -> NDArray[np.float64]:
    """Clopper-Pearson intervals of binomial fractions.

    Parameters
    ----------
    passed, total : ndarray, shape (n,)
        Counts, or effective ones with a fraction. 0 of 0 is allowed.

    Returns
    -------
    ndarray, shape (2, n), float64
        Lower and upper ends at the coverage `COVERAGE`; 0 and 1 for 0 of 0.

    Raises
    ------
    ConfigError
        If the extra ``plot``, which has hist and scipy, is not installed.
    ValueError
        If more passed than there are.

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
    """A fraction of counts; adds up over events and jobs."""

    passed: int
    total: int

    @property
    def value(self) -> float:
        """The fraction; NaN for 0 of 0."""
        return self.passed / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of its Clopper-Pearson interval."""
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

    # Any: counts and fractions.
    def to_dict(self) -> Mapping[str, Any]:
        """Return plain values for JSON; the value of 0 of 0 is None."""
        low, high = self.interval
        return {
            "value": self.value if self.total else None,
            "low": low,
            "high": high,
            "passed": self.passed,
            "total": self.total,
        }
