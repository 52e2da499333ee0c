"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exatrkx_pipeline.training.checkpoint import LearningCurve
from sonic_tracking.errors import needs_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_learning_curves"]

TRAINING, VALIDATION = "#3f72af", "#d1495b"  # told apart in grey, too


def plot_learning_curves(curves: Sequence[LearningCurve], path: Path) -> None:
    """Draw the mean loss over each twentieth of each stage, and that of validation.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    figure = Figure(figsize=(4.4 * len(curves), 3.6), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, curve in zip(axes, curves, strict=True):
        _draw(axis, curve)
    axes[0].set_ylabel("loss")
    figure.savefig(path, dpi=130)


def _draw(axes: Axes, curve: LearningCurve) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - an extra

    n_parts = len(curve.losses)
    share = [100.0 * (part + 1) / n_parts for part in range(n_parts)]
    # A point of training is a mean over the part before it: at the part's middle.
    middle = [each - 50.0 / n_parts for each in share]
    axes.plot(
        middle, curve.losses, "o-", color=TRAINING, markersize=3.5, label="training"
    )
    if curve.validation:
        axes.plot(
            share,
            curve.validation,
            "s--",
            color=VALIDATION,
            markersize=3.5,
            label="validation",
        )
    axes.set_title(f"{curve.stage}, {_duration(curve.seconds)}", fontsize=11)
    axes.set_xlabel("steps [%]")
    axes.set_xlim(0.0, 102.0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", direction="in", top=True, right=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"
