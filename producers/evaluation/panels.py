"""The panels of the evaluation page; each draws into the axes that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import mplhep
import numpy as np

from producers.evaluation.binned import BinnedCounts
from producers.evaluation.colours import ACCENT, FAKE, MATCHED, OTHER
from producers.evaluation.counts import MAX_SIZE, EvaluationCounts
from producers.evaluation.criteria import Variable
from producers.evaluation.matching import MatchingStyle
from producers.evaluation.ratio import intervals
from producers.evaluation.report import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "draw_efficiency",
    "draw_fake_rate",
    "draw_rates",
    "draw_sizes",
    "draw_stages",
]

OTHER_STYLES: Mapping[MatchingStyle, tuple[str, str]] = {
    "majority": ("single majority", "#8fa8c8"),
    "perfect": ("perfect", "#c2a35a"),
}
"""Drawn as lines beside the points of double majority."""

MIN_IN_BIN = 10
"""Rates of fewer candidates are not drawn."""

AXIS_LABELS: Mapping[Variable, str] = {
    "pt_gev": r"particle $p_\mathrm{T}$ [GeV]",
    "eta": r"particle $\eta$",
    "production_radius_mm": "production radius [mm]",
}


def draw_efficiency(axes: Axes, report: EvaluationReport, variable: Variable) -> None:
    """Efficiency in bins of a variable, with intervals and the cut on it."""
    binned = report.counts.binned[variable]
    for style, (label, colour) in OTHER_STYLES.items():
        other = report.counts.found_in_bins[style][variable]
        has_any = other.total > 0
        axes.stairs(
            np.where(has_any, other.passed / np.where(has_any, other.total, 1), np.nan),
            other.edges,
            color=colour,
            label=label,
            linewidth=1.1,
            baseline=None,  # or there would be lines down to zero at the ends
        )
    _draw_fractions(axes, binned, MATCHED, label="double majority")
    criteria = report.criteria
    cuts = {
        "pt_gev": [criteria.min_pt_gev],
        "eta": [-criteria.max_abs_eta, criteria.max_abs_eta],
        "production_radius_mm": [criteria.max_production_radius_mm],
    }
    for cut in cuts[variable]:
        axes.axvline(cut, color=ACCENT, linestyle=":", linewidth=1.2)
    # Zoomed in where nothing lies below, with a bin of 0 of 0 not counted.
    perfect = report.counts.found_in_bins["perfect"][variable]
    bottom = 0.5 if (perfect.passed >= 0.55 * perfect.total).all() else 0.0
    # Below zero a little, or points there would be cut in half.
    axes.set(ylim=(bottom or -0.02, 1.05), ylabel="efficiency")
    axes.axhline(1.0, color="0.8", linewidth=0.8, zorder=0)
    if variable == "pt_gev":
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    _set_variable(axes, variable, binned)


def draw_rates(axes: Axes, counts: EvaluationCounts, variable: Variable) -> None:
    """Fake and duplicate rate in bins of the candidate's best particle."""
    fakes, duplicates = (
        _frequent(each[variable]) for each in (counts.fakes, counts.duplicates)
    )
    _draw_fractions(axes, fakes, FAKE, label="fake (double majority)")
    _draw_fractions(
        axes, duplicates, OTHER, marker="s", label="duplicate (single majority)"
    )
    top = max(0.04, _top(fakes), _top(duplicates))
    axes.set(ylim=(-0.02 * top, min(1.1, 1.35 * top)), ylabel="rate")
    axes.legend(frameon=False, loc="upper right", fontsize=9)
    _set_variable(axes, variable, fakes)


def _set_variable(axes: Axes, variable: Variable, binned: BinnedCounts) -> None:
    if variable == "pt_gev":
        axes.set_xscale("log")
        axes.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    if variable == "production_radius_mm":
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        axes.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set(xlim=(binned.edges[0], binned.edges[-1]), xlabel=AXIS_LABELS[variable])


def _frequent(binned: BinnedCounts) -> BinnedCounts:
    """Without bins of so few that their bars would cross the panel."""
    is_frequent = binned.total >= MIN_IN_BIN
    return BinnedCounts(
        binned.edges,
        np.where(is_frequent, binned.passed, 0),
        np.where(is_frequent, binned.total, 0),
    )


def _top(binned: BinnedCounts) -> float:
    """Where the bars end, of bins that have any."""
    high = intervals(binned.passed, binned.total)[1][binned.total > 0]
    return float(high.max(initial=0.0))


def _draw_fractions(
    axes: Axes,
    binned: BinnedCounts,
    colour: str,
    *,
    marker: str = "o",
    label: str | None = None,
) -> None:
    passed, total = binned.passed, binned.total
    low, high = intervals(passed, total)
    has_any = total > 0
    values = np.divide(passed, total, out=np.zeros(len(total)), where=has_any)
    # A bin of nothing gets no point; an error bar of its own would be all of [0, 1].
    errors = np.where(has_any, (values - low, high - values), np.nan)
    mplhep.histplot(
        np.where(has_any, values, np.nan),
        bins=binned.edges,
        yerr=np.clip(errors, 0.0, None),
        xerr=True,
        histtype="errorbar",
        color=colour,
        marker=marker,
        markersize=5,
        label=label,
        ax=axes,
        flow="none",
    )


def draw_sizes(axes: Axes, counts: EvaluationCounts, least: int) -> None:
    """Candidates by number of space points, and those that are counted and fake."""
    edges = np.arange(MAX_SIZE + 2) - 0.5
    mplhep.histplot(
        [counts.sizes, counts.fake_sizes],
        bins=edges,
        histtype="fill",
        color=[MATCHED, FAKE],
        alpha=0.85,
        label=["all", "fake"],
        ax=axes,
        flow="none",
    )
    axes.axvline(least - 0.5, color=ACCENT, linestyle=":", linewidth=1.2)
    axes.set(
        xlim=(0.5, MAX_SIZE + 0.5),
        xlabel="space points on the candidate (last bin: and more)",
        ylabel="candidates",
    )
    axes.legend(frameon=False)


def draw_fake_rate(axes: Axes, counts: EvaluationCounts, least: int) -> None:
    """Fraction of fakes among the counted candidates of each size."""
    edges = np.arange(MAX_SIZE + 2, dtype=np.float64) - 0.5
    is_counted = np.arange(MAX_SIZE + 1) >= least
    total = np.where(is_counted, counts.sizes, 0)
    fakes = _frequent(BinnedCounts(edges, counts.fake_sizes, total))
    _draw_fractions(axes, fakes, FAKE)
    axes.axvline(least - 0.5, color=ACCENT, linestyle=":", linewidth=1.2)
    axes.set(
        xlim=(0.5, MAX_SIZE + 0.5),
        ylim=(-0.02, min(1.1, 1.25 * max(0.05, _top(fakes)))),
        xlabel="space points on the candidate (last bin: and more)",
        ylabel="fake rate",
    )


def draw_stages(axes: Axes, report: EvaluationReport) -> None:
    """Efficiency and purity of the edges after each stage, with how many there are."""
    stages = list(report.edges)
    place = np.arange(len(stages))
    n_events = max(report.counts.n_events, 1)
    for offset, name, colour, marker in (
        (-0.12, "efficiency", MATCHED, "o"),
        (0.0, "purity", FAKE, "s"),
        (0.12, "target purity", OTHER, "^"),
    ):
        ratios = [
            getattr(report.edges[stage], name.replace(" ", "_")) for stage in stages
        ]
        values = np.array([ratio.value for ratio in ratios])
        ends = np.array([ratio.interval for ratio in ratios]).T
        axes.errorbar(
            place + offset,
            values,
            np.clip((values - ends[0], ends[1] - values), 0.0, None),
            fmt=marker,
            color=colour,
            markersize=6,
            label=name,
        )
    axes.set_xticks(
        place,
        [f"{name}\n{report.edges[name].n_edges / n_events:,.0f}" for name in stages],
    )
    axes.set(
        xlim=(-0.5, len(stages) - 0.5),
        ylim=(-0.02, 1.18),
        xlabel="stage, edges an event",
        ylabel="efficiency, purity of edges",
    )
    axes.tick_params(axis="y", direction="in", right=True)
    axes.set_yticks(np.linspace(0.0, 1.0, 6))
    axes.legend(frameon=False, loc="upper center", ncols=3, fontsize=9)
    axes.axhline(1.0, color="0.6", linewidth=0.8, zorder=0)
