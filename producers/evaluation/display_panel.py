"""One event, drawn: its space points, and the candidates among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from numpy.typing import NDArray

from producers.evaluation.colours import FAKE
from producers.evaluation.display import EventDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_display"]

MAX_DRAWN = 250
"""Candidates; with more, no line could be followed."""


def draw_display(axes: Axes, display: EventDisplay, view: str) -> None:
    """Draw an event in the view ``xy`` or ``rz``, space points joined by candidates.

    Of many candidates only some are drawn, every second, third or so: fakes among them
    in their proportion.
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
