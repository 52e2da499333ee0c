"""Cost of an event against its size, by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exatrkx_pipeline.stages import STAGES
from sonic_tracking.errors import needs_extra

if TYPE_CHECKING:
    from sonic_tracking.bench.pipeline_report import PipelineReport

__all__ = ["plot_pipeline"]


def plot_pipeline(report: PipelineReport, path: Path) -> None:
    """Draw seconds by stage against points, seconds against edges, and memory.

    Beside the seconds against edges is a line of slope 1 through the largest event:
    where points follow it, time is linear in the edges.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    costs = report.sizes
    figure = Figure(figsize=(14.0, 4.2), layout="constrained")
    by_points, by_edges, memory = figure.subplots(1, 3)
    points = [cost.n_points for cost in costs]
    for stage in STAGES:
        seconds = [cost.stages_s[stage] for cost in costs]
        label = stage.replace("_", " ")
        by_points.plot(points, seconds, marker="o", markersize=4, label=label)
    totals = [cost.total_s for cost in costs]
    by_points.plot(points, totals, color="0.2", linestyle="--", label="all")
    by_points.set(xlabel="space points", ylabel="seconds an event")
    by_points.legend(fontsize=8)
    edges = [cost.n_radius_edges for cost in costs]
    exponent = report.edge_exponent
    grows = "measured" if exponent is None else f"measured: edges^{exponent:.2f}"
    by_edges.plot(edges, totals, marker="o", markersize=4, label=grows)
    if edges and edges[-1]:
        linear = [totals[-1] * n / edges[-1] for n in edges]
        by_edges.plot(edges, linear, color="0.6", linestyle=":", label="linear")
    by_edges.set(xlabel="edges before the filter", ylabel="seconds an event")
    by_edges.legend(fontsize=8)
    memory.plot(
        points,
        [cost.peak_memory_bytes / 1e9 for cost in costs],
        marker="o",
        markersize=4,
    )
    memory.set(xlabel="space points", ylabel="peak memory (GB)")
    for axes in (by_points, by_edges):
        axes.set(xscale="log", yscale="log")
    memory.set(xscale="log", ylim=(0.0, None))
    machine = report.machine
    figure.suptitle(
        f"{machine['processor']}, {report.threads} threads, "
        f"weights {report.weights_id}",
        fontsize=9,
    )
    for axes in (by_points, by_edges, memory):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
