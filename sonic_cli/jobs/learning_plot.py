"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exatrkx_pipeline.training.schedule import LearningCurve
from sonic_cli.errors import needs_extra

__all__ = ["plot_learning_curves"]


def plot_learning_curves(curves: Sequence[LearningCurve], path: Path) -> None:
    """Draw the mean loss over each twentieth of each stage.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    figure = Figure(figsize=(4.0 * len(curves), 3.2), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, curve in zip(axes, curves, strict=True):
        n_parts = len(curve.losses)
        share = [100.0 * (part + 1) / n_parts for part in range(n_parts)]
        axis.plot(share, curve.losses, marker="o", markersize=3)
        axis.set(title=f"{curve.stage}, {curve.seconds:.0f} s", xlabel="steps (%)")
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean loss")
    figure.savefig(path, dpi=120)
