"""The paper's figures out of a scan: throughput, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sonic_tracking.bench.measurement import Measurement
from sonic_tracking.bench.scan import DIRECT
from sonic_tracking.errors import needs_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_service", "scan_of"]

COLOURS = {"exatrkx": "C0", "exatrkx_ensemble": "C1", DIRECT: "0.4"}
PARTS = ("overhead", "queue", "compute_input", "compute_infer", "compute_output")
PART_COLOURS = ("0.75", "C3", "C4", "C0", "C2")


def plot_service(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw throughput against concurrency and instances, and the parts of a request.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    figure = Figure(figsize=(15.0, 4.2), layout="constrained")
    by_concurrency, by_instances, parts = figure.subplots(1, 3)
    _throughput(by_concurrency, measurements, "concurrency")
    _throughput(by_instances, measurements, "instances")
    _parts(parts, [each for each in measurements if each.split_s])
    figure.savefig(path, dpi=120)


def scan_of(
    measurements: Iterable[Measurement], model: str, axis: str
) -> list[Measurement]:
    """Those of a model along one axis, the other one held where it was scanned.

    Concurrency is scanned at the fewest instances, instances at the highest
    concurrency; the direct pipeline has one axis, its threads.
    """
    own = [each for each in measurements if each.point.model == model]
    if model != DIRECT and own:
        if axis == "concurrency":
            fewest = min(each.point.instances for each in own)
            own = [each for each in own if each.point.instances == fewest]
        else:
            highest = max(each.point.concurrency for each in own)
            own = [each for each in own if each.point.concurrency == highest]
    return sorted(own, key=lambda each: getattr(each.point, axis))


def _throughput(axes: Axes, measurements: Sequence[Measurement], axis: str) -> None:
    for model, colour in COLOURS.items():
        line = scan_of(measurements, model, axis)
        if not line:
            continue
        axes.errorbar(
            [getattr(each.point, axis) for each in line],
            [each.events_per_s for each in line],
            yerr=[each.spread for each in line],
            label=f"{model}, by threads" if model == DIRECT else model,
            color=colour,
            marker="o",
            markersize=4,
            capsize=2,
            linestyle="--" if model == DIRECT else "-",
        )
    axes.set(xlabel=axis, ylabel="events per second")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def _parts(axes: Axes, measurements: Sequence[Measurement]) -> None:
    labels = [
        f"{at.model}\n{at.instances} inst., {at.concurrency} req."
        for at in (each.point for each in measurements)
    ]
    left = [0.0] * len(measurements)
    for part, colour in zip(PARTS, PART_COLOURS, strict=True):
        widths = [each.split_s[part] * 1e3 for each in measurements]
        axes.barh(labels, widths, left=left, label=part.replace("_", " "), color=colour)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set(xlabel="mean time of a request (ms)")
    axes.tick_params(axis="y", labelsize=6)
    if measurements:
        axes.legend(fontsize=7)
