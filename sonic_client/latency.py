"""A histogram of durations that stays small and can be added to another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LatencyHistogram", "bin_of"]

# Each bin is 2 % wider than the one below it, so a quantile is off by 1 % at
# most, and a job's durations fill a few hundred bins however long it runs.
_LOG_RATIO = math.log(1.02)
_SMALLEST_S = 1e-6


def bin_of(duration_s: float) -> int:
    """Return the number of the bin that holds a duration in seconds."""
    if duration_s <= _SMALLEST_S:
        return 0
    return int(math.log(duration_s / _SMALLEST_S) / _LOG_RATIO) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyHistogram:
    """Durations in logarithmic bins, with their exact sum and extremes.

    Attributes
    ----------
    counts : mapping of int to int
        Entries per occupied bin; the bins are those of `bin_of`.
    total_s : float
        Sum of all durations, in seconds.
    min_s, max_s : float
        Extremes in seconds; inf and 0 while there are no entries.
    """

    counts: Mapping[int, int] = field(default_factory=dict)
    total_s: float = 0.0
    min_s: float = math.inf
    max_s: float = 0.0

    @property
    def n_entries(self) -> int:
        """Number of durations."""
        return sum(self.counts.values())

    @property
    def mean_s(self) -> float:
        """Mean in seconds; NaN without entries."""
        return self.total_s / n if (n := self.n_entries) else math.nan

    def quantile_s(self, fraction: float) -> float:
        """Return the duration below which a fraction of the entries lies.

        In seconds, to 1 %; NaN without entries.
        """
        n_entries = self.n_entries
        if not n_entries:
            return math.nan
        rank = max(1, math.ceil(fraction * n_entries))
        seen = 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= rank:
                break
        # The geometric middle of the bin, but never outside what was measured.
        middle = _SMALLEST_S * math.exp((number - 0.5) * _LOG_RATIO)
        return min(max(middle, self.min_s), self.max_s)

    def __add__(self, other: LatencyHistogram) -> LatencyHistogram:
        numbers = self.counts.keys() | other.counts.keys()
        return LatencyHistogram(
            counts={
                number: self.counts.get(number, 0) + other.counts.get(number, 0)
                for number in numbers
            },
            total_s=self.total_s + other.total_s,
            min_s=min(self.min_s, other.min_s),
            max_s=max(self.max_s, other.max_s),
        )
