"""The panels of the evaluation page; each draws into the axes that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import mplhep
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from numpy.typing import NDArray

from producers.evaluation.counts import MAX_SIZE, EvaluationCounts
from producers.evaluation.criteria import Variable
from producers.evaluation.display import EventDisplay
from producers.evaluation.ratio import intervals
from producers.evaluation.report import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_display", "draw_efficiency", "draw_fake_rate", "draw_sizes"]

MATCHED, FAKE, ACCENT = "#3f72af", "#d1495b", "#22313f"  # told apart in grey, too

AXIS_LABELS: Mapping[Variable, str] = {
    "pt_gev": r"particle $p_\mathrm{T}$ [GeV]",
    "eta": r"particle $\eta$",
    "production_radius_mm": "production radius [mm]",
}


def draw_efficiency(axes: Axes, report: EvaluationReport, variable: Variable) -> None:
    """Efficiency in bins of a variable, with intervals and the cut on it."""
    binned = report.counts.binned[variable]
    _draw_fractions(axes, binned.passed, binned.total, binned.edges, MATCHED)
    criteria = report.criteria
    cuts = {
        "pt_gev": [criteria.min_pt_gev],
        "eta": [-criteria.max_abs_eta, criteria.max_abs_eta],
        "production_radius_mm": [criteria.max_production_radius_mm],
    }
    for cut in cuts[variable]:
        axes.axvline(cut, color=ACCENT, linestyle=":", linewidth=1.2)
    if variable == "pt_gev":
        axes.set_xscale("log")
        axes.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    if variable == "production_radius_mm":
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        axes.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    # Zoomed in where nothing lies below, with a bin of 0 of 0 not counted.
    bottom = 0.5 if (binned.passed >= 0.6 * binned.total).all() else 0.0
    axes.set(
        xlim=(binned.edges[0], binned.edges[-1]),
        ylim=(bottom, 1.05),
        xlabel=AXIS_LABELS[variable],
        ylabel="efficiency",
    )
    axes.axhline(1.0, color="0.8", linewidth=0.8, zorder=0)


def _draw_fractions(
    axes: Axes,
    passed: NDArray[np.int64],
    total: NDArray[np.int64],
    edges: NDArray[np.float64],
    colour: str,
) -> None:
    low, high = intervals(passed, total)
    has_any = total > 0
    values = np.divide(passed, total, out=np.zeros(len(total)), where=has_any)
    # A bin of nothing gets no point; an error bar of its own would be all of [0, 1].
    errors = np.where(has_any, (values - low, high - values), np.nan)
    mplhep.histplot(
        np.where(has_any, values, np.nan),
        bins=edges,
        yerr=np.clip(errors, 0.0, None),
        xerr=True,
        histtype="errorbar",
        color=colour,
        markersize=5,
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
    _draw_fractions(axes, counts.fake_sizes, total, edges, FAKE)
    axes.axvline(least - 0.5, color=ACCENT, linestyle=":", linewidth=1.2)
    # Rare sizes have long bars, which may leave the frame.
    is_frequent = total > 0.01 * total.sum()
    high = intervals(counts.fake_sizes, total)[1][is_frequent]
    top = max(0.05, float(high.max(initial=0.0)))
    axes.set(
        xlim=(0.5, MAX_SIZE + 0.5),
        ylim=(0.0, min(1.05, 1.25 * top)),
        xlabel="space points on the candidate (last bin: and more)",
        ylabel="fake rate",
    )


def draw_display(axes: Axes, display: EventDisplay, view: str) -> None:
    """Draw an event in the view ``xy`` or ``rz``, space points joined by candidates."""
    points = display.xyz[:, :2] if view == "xy" else _signed_rz(display)
    axes.scatter(points[:, 0], points[:, 1], 1.5, color="0.72", linewidths=0, zorder=1)
    width = float(np.clip(20.0 / np.sqrt(max(len(display.candidates), 1)), 0.2, 1.0))
    matched = np.flatnonzero(display.is_counted & display.is_matched)
    fakes = np.flatnonzero(display.is_counted & ~display.is_matched)
    axes.add_collection(
        LineCollection(
            _lines(points, display, matched), colors=_hues(matched), linewidths=width
        )
    )
    axes.add_collection(
        LineCollection(
            _lines(points, display, fakes),
            colors=FAKE,
            linewidths=2.0 * width,
            linestyles="--",
            zorder=3,
        )
    )
    axes.plot([], [], color=FAKE, linestyle="--", label=f"fake ({len(fakes)})")
    axes.legend(frameon=True, loc="upper right", fontsize=8)
    if view == "xy":
        axes.set(xlabel="x [mm]", ylabel="y [mm]")
        axes.set_aspect("equal", adjustable="datalim")
    else:
        axes.set(xlabel="z [mm]", ylabel="r [mm], up or down as y")


def _signed_rz(display: EventDisplay) -> NDArray[np.float64]:
    """Points in z and r, with the sign of y so that opposite tracks do not overlap.

    A candidate has the sign of its outermost point, or it would jump where it
    crosses y = 0.
    """
    x, y, z = display.xyz.T.astype(np.float64)
    side = np.copysign(1.0, y)
    found = display.candidates
    on_candidate = found.labels >= 0
    outermost = found.space_points[found.row_splits[1:] - 1]
    side[on_candidate] = side[outermost][found.labels[on_candidate]]
    return np.column_stack((z, side * np.hypot(x, y)))


def _lines(
    points: NDArray[np.floating], display: EventDisplay, numbers: NDArray[np.int64]
) -> list[NDArray[np.floating]]:
    return [points[display.candidates[int(number)]] for number in numbers]


def _hues(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return colours of which neighbouring numbers get distant ones."""
    hue = 0.1 + 0.7 * (numbers * 0.618034 % 1.0)  # red is for fakes
    hsv = np.column_stack((hue, np.full(len(hue), 0.85), np.full(len(hue), 0.8)))
    return np.asarray(hsv_to_rgb(hsv), dtype=np.float64)
