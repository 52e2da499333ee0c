"""The page of plots of an evaluation; needs the extra ``plot``."""

from __future__ import annotations

from collections.abc import Mapping

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from producers.evaluation.counting import MAX_SIZE, EvaluationCounts
from producers.evaluation.criteria import Criteria, Variable
from producers.evaluation.edges import EdgeCounts
from producers.evaluation.figures import (
    AXIS_LABELS,
    BIN_EDGES,
    BinnedCounts,
    intervals,
)
from producers.evaluation.matching import EventDisplay, MatchingStyle

__all__ = ["draw_page"]

MATCHED, FAKE, OTHER, ACCENT = "#3f72af", "#d1495b", "#8a6fa8", "#22313f"
"""Colours that differ in grey, too."""

OTHER_STYLES: Mapping[MatchingStyle, tuple[str, str]] = {
    "majority": ("single majority", "#8fa8c8"),
    "perfect": ("perfect", "#c2a35a"),
}
"""Drawn as lines beside the points of double majority."""

MIN_IN_BIN = 10
"""Bins of fewer candidates are not drawn."""

MAX_DRAWN = 250
"""Most candidates that are drawn; among more, no line could be followed."""

STEP = 0.075


def draw_page(
    counts: EvaluationCounts,
    criteria: Criteria,
    *,
    title: str,
    edges: Mapping[str, EdgeCounts],
    display: EventDisplay | None,
) -> Figure:
    """Return a figure of efficiencies, candidates, fakes, and an event if there is one.

    It is not known to pyplot, and no setting of matplotlib is changed.
    """
    figure = Figure(figsize=(18.4, 12.4), layout="constrained")
    grid = figure.add_gridspec(3, 4)
    least = criteria.min_candidate_space_points
    for column, variable in enumerate(BIN_EDGES):
        axes = figure.add_subplot(grid[0, column])
        _draw_efficiency(axes, counts, criteria, variable)
        _draw_rates(figure.add_subplot(grid[1, column]), counts, variable)
    _draw_sizes(figure.add_subplot(grid[2, 0]), counts, least)
    _draw_fake_rate(figure.add_subplot(grid[2, 1]), counts, least)
    for axes in figure.axes:
        axes.tick_params(which="both", direction="in", top=True, right=True)
        axes.minorticks_on()
    if edges:
        _draw_stages(figure.add_subplot(grid[2, 2]), edges, counts.n_events)
    numbers = grid[0, 3] if display is not None else grid[:2, 3]
    _write_numbers(figure.add_subplot(numbers), counts, criteria)
    if display is not None:
        for row, view in enumerate(("xy", "rz"), start=1):
            _draw_display(figure.add_subplot(grid[row, 3]), display, view)
    figure.suptitle(title, fontsize=13)
    return figure


def _draw_efficiency(
    axes: Axes, counts: EvaluationCounts, criteria: Criteria, variable: Variable
) -> None:
    """Draw the efficiency in bins of a variable, with the cut on it."""
    binned = counts.styles["double_majority"].found[variable]
    for style, (label, colour) in OTHER_STYLES.items():
        other = counts.styles[style].found[variable]
        has_any = other.total > 0
        axes.stairs(
            np.where(has_any, other.passed / np.where(has_any, other.total, 1), np.nan),
            BIN_EDGES[variable],
            color=colour,
            label=label,
            linewidth=1.1,
            baseline=None,  # no lines down to zero at the ends
        )
    edges = BIN_EDGES[variable]
    _draw_fractions(axes, edges, binned, MATCHED, label="double majority")
    cuts = {
        "pt_gev": [criteria.min_pt_gev],
        "eta": [-criteria.max_abs_eta, criteria.max_abs_eta],
        "production_radius_mm": [criteria.max_production_radius_mm],
    }
    for cut in cuts[variable]:
        axes.axvline(cut, color=ACCENT, linestyle=":", linewidth=1.2)
    # Zoomed in if no bin that has any lies below.
    perfect = counts.styles["perfect"].found[variable]
    bottom = 0.5 if (perfect.passed >= 0.55 * perfect.total).all() else 0.0
    # A little below zero, so that points there are not cut in half.
    axes.set(ylim=(bottom or -0.02, 1.05), ylabel="efficiency")
    axes.axhline(1.0, color="0.8", linewidth=0.8, zorder=0)
    if variable == "pt_gev":
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    _set_variable(axes, variable)


def _draw_rates(axes: Axes, counts: EvaluationCounts, variable: Variable) -> None:
    """Draw fake and duplicate rates in bins of the candidate's best particle."""
    edges = BIN_EDGES[variable]
    fakes = _frequent(counts.styles["double_majority"].fakes[variable])
    duplicates = _frequent(counts.styles["majority"].duplicates[variable])
    _draw_fractions(axes, edges, fakes, FAKE, label="fake (double majority)")
    _draw_fractions(
        axes, edges, duplicates, OTHER, marker="s", label="duplicate (single majority)"
    )
    top = max(0.04, _top(fakes), _top(duplicates))
    axes.set(ylim=(-0.02 * top, min(1.1, 1.35 * top)), ylabel="rate")
    axes.legend(frameon=False, loc="upper right", fontsize=9)
    _set_variable(axes, variable)


def _set_variable(axes: Axes, variable: Variable) -> None:
    edges = BIN_EDGES[variable]
    if variable == "pt_gev":
        axes.set_xscale("log")
        axes.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    if variable == "production_radius_mm":
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        axes.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set(xlim=(edges[0], edges[-1]), xlabel=AXIS_LABELS[variable])


def _frequent(binned: BinnedCounts) -> BinnedCounts:
    """Return the counts without bins of so few that their bars would be too long."""
    is_frequent = binned.total >= MIN_IN_BIN
    return BinnedCounts(
        np.where(is_frequent, binned.passed, 0),
        np.where(is_frequent, binned.total, 0),
    )


def _top(binned: BinnedCounts) -> float:
    """Return the upper end of the highest bar of the bins that have any."""
    high = intervals(binned.passed, binned.total)[1][binned.total > 0]
    return float(high.max(initial=0.0))


def _draw_fractions(
    axes: Axes,
    edges: NDArray[np.float64],
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
    # An empty bin gets no point; its error bar would span all of [0, 1].
    errors = np.where(has_any, (values - low, high - values), np.nan)
    mplhep.histplot(
        np.where(has_any, values, np.nan),
        bins=edges,
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


def _draw_sizes(axes: Axes, counts: EvaluationCounts, least: int) -> None:
    """Draw candidates by number of space points, and the counted fakes among them."""
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


def _draw_fake_rate(axes: Axes, counts: EvaluationCounts, least: int) -> None:
    """Draw the fraction of fakes among the counted candidates of each size."""
    edges = np.arange(MAX_SIZE + 2, dtype=np.float64) - 0.5
    is_counted = np.arange(MAX_SIZE + 1) >= least
    total = np.where(is_counted, counts.sizes, 0)
    fakes = _frequent(BinnedCounts(counts.fake_sizes, total))
    _draw_fractions(axes, edges, fakes, FAKE)
    axes.axvline(least - 0.5, color=ACCENT, linestyle=":", linewidth=1.2)
    axes.set(
        xlim=(0.5, MAX_SIZE + 0.5),
        ylim=(-0.02, min(1.1, 1.25 * max(0.05, _top(fakes)))),
        xlabel="space points on the candidate (last bin: and more)",
        ylabel="fake rate",
    )


def _draw_stages(axes: Axes, edges: Mapping[str, EdgeCounts], n_events: int) -> None:
    """Draw the efficiency and purity of each stage's edges, and their number."""
    stages = list(edges)
    place = np.arange(len(stages))
    n_events = max(n_events, 1)
    for offset, name, colour, marker in (
        (-0.12, "efficiency", MATCHED, "o"),
        (0.0, "purity", FAKE, "s"),
        (0.12, "target purity", OTHER, "^"),
    ):
        ratios = [getattr(edges[stage], name.replace(" ", "_")) for stage in stages]
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
        [f"{name}\n{edges[name].n_edges / n_events:,.0f}" for name in stages],
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


def _write_numbers(axes: Axes, counts: EvaluationCounts, criteria: Criteria) -> None:
    """Write the rates with their intervals, and the cuts."""
    axes.set_axis_off()
    double, single = counts.styles["double_majority"], counts.styles["majority"]
    lines = [
        ("efficiency", double.efficiency),
        ("single majority", single.efficiency),
        ("perfect", counts.styles["perfect"].efficiency),
        ("displaced", double.displaced_efficiency),
        ("fake rate", double.fake_rate),
        ("duplicate rate", single.duplicate_rate),
        ("TrackML score", counts.score),
    ]
    for row, (name, ratio) in enumerate(lines):
        height = 1.0 - STEP * row
        value, bracket, counted = str(ratio).partition(")")
        text = value + bracket if bracket else value.partition(":")[0]
        axes.text(0.0, height, name, fontsize=10, fontweight="bold", va="baseline")
        axes.text(0.34, height, text, fontsize=10, va="baseline")
        axes.text(
            0.85, height, counted.strip(", "), fontsize=8, color="0.4", va="baseline"
        )
    region, least = criteria.displaced(), criteria.min_candidate_space_points
    notes = (
        "Double majority: more than half of the candidate's space points on\n"
        "the particle, and more than half of the particle's on it.\n"
        "Single majority: only the first condition. The duplicate rate uses it.\n"
        "Perfect: all of both.\n"
        "Target purity: without the true edges of particles not counted.\n"
        f"Particles: charged, $p_\\mathrm{{T}}$ > {criteria.min_pt_gev:g} GeV, "
        f"|$\\eta$| < {criteria.max_abs_eta:g}, "
        f"at least {criteria.min_particle_space_points}\n"
        f"space points, produced {criteria.region}"
        f"; displaced: {region.min_production_radius_mm:g} to "
        f"{region.max_production_radius_mm:g} mm.\n"
        f"Candidates: at least {least} space points; rates are shown against\n"
        "the particle with most of them, in bins of ten and more.\n"
        "Dotted: the cut, left out where its variable is shown.\n"
        "Bars: Clopper-Pearson, 68 %."
    )
    axes.text(0.0, -0.02, notes, fontsize=8.5, color="0.3", linespacing=1.4)


def _draw_display(axes: Axes, display: EventDisplay, view: str) -> None:
    """Draw an event in the view ``xy`` or ``rz``, with lines along the candidates.

    If there are many, only every second or third and so on is drawn, fakes in their
    proportion.
    """
    points = display.xyz[:, :2] if view == "xy" else _signed_rz(display)
    axes.scatter(points[:, 0], points[:, 1], 1.5, color="0.8", linewidths=0, zorder=1)
    counted = np.flatnonzero(display.is_counted)
    step = -(-len(counted) // MAX_DRAWN) or 1
    drawn = counted[::step]
    width = float(np.clip(10.0 / np.sqrt(max(len(drawn), 1)), 0.6, 1.0))
    matched = drawn[display.is_matched[drawn]]
    fakes = drawn[~display.is_matched[drawn]]
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
    share = "" if step == 1 else f" of {len(counted)}"
    axes.set_title(
        f"event {display.event_id}: {len(drawn)}{share} candidates", fontsize=11
    )
    if view == "xy":
        axes.set(xlabel="x [mm]", ylabel="y [mm]")
        axes.set_aspect("equal", adjustable="datalim")
    else:
        axes.set(xlabel="z [mm]", ylabel="r [mm], up or down as y")


def _signed_rz(display: EventDisplay) -> NDArray[np.float64]:
    """Return points in z and r, with the sign of y so that opposite tracks differ.

    All points of a candidate have the sign of its outermost point; otherwise it would
    jump where it crosses y = 0.
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
    """Return colours that differ much between neighbouring numbers."""
    hue = 0.1 + 0.7 * (numbers * 0.618034 % 1.0)  # red is for fakes
    hsv = np.column_stack((hue, np.full(len(hue), 0.85), np.full(len(hue), 0.8)))
    return np.asarray(hsv_to_rgb(hsv), dtype=np.float64)
