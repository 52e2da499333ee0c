"""The figures of `sonic bench pipeline`: plain values, tables, markdown, a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from exatrkx_pipeline.stages import STAGES
from producers.io import write_picture
from sonic_tracking.errors import needs_extra
from sonic_tracking.outputs import Json

__all__ = [
    "BASELINE_HEADER",
    "RATE_HEADER",
    "SIZE_HEADER",
    "Baseline",
    "EventRate",
    "PipelineReport",
    "SizeCost",
    "plot_pipeline",
]

RATE_HEADER = ("events as they are", "threads", "events/s", "p50", "p95", "CPU")
SIZE_HEADER = (
    "points",
    "edges",
    "after the filter",
    "total",
    "CPU",
    "per edge",
    "peak memory",
    "most in",
)
BASELINE_HEADER = ("stage", "baseline", "ours", "baseline's", "ratio")

FEWEST_POINTS = 10_000
"""Smaller events are dominated by constant costs and do not show how time grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRate:
    """Rate of the events in the best of several passes."""

    way: str
    """``one by one``, ``side by side`` or ``in one batch``: see `event_rates`."""

    threads: int
    events_per_s: float
    p50_s: float | None = None
    p95_s: float | None = None
    """Latency of an event over all passes; None for a batch."""

    cpu_s: float
    """CPU time of an event on all threads, in the best pass. On a busy machine it is
    more reliable than the rate."""

    def row(self) -> tuple[str, ...]:
        """Return one row of a table: see `RATE_HEADER`."""
        latencies = (self.p50_s, self.p95_s)
        return (
            self.way,
            str(self.threads),
            f"{self.events_per_s:.1f}",
            *("" if each is None else f"{each * 1e3:.1f} ms" for each in latencies),
            f"{self.cpu_s * 1e3:.1f} ms",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCost:
    """Cost of one event of a size, after a smaller one to warm up."""

    n_points: int
    n_radius_edges: int
    n_filtered_edges: int
    stages_s: dict[str, float]
    total_s: float
    cpu_s: float
    """CPU time of all threads together."""

    peak_memory_bytes: int
    """Peak of the process during the event."""

    def row(self) -> tuple[str, ...]:
        """Return one row of a table: see `SIZE_HEADER`."""
        slowest = max(self.stages_s, key=self.stages_s.__getitem__)
        per_edge = self.total_s / max(self.n_radius_edges, 1)
        return (
            f"{self.n_points:,}",
            f"{self.n_radius_edges:,}",
            f"{self.n_filtered_edges:,}",
            f"{self.total_s:.3f} s",
            f"{self.cpu_s:.3f} s",
            f"{per_edge * 1e6:.2f} us",
            f"{self.peak_memory_bytes / 1e9:.2f} GB",
            f"{slowest} {self.stages_s[slowest] / self.total_s:.0%}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A stage against another implementation, the better of two tries each."""

    stage: str
    name: str
    """The other implementation, such as ``faiss IndexFlatL2, k = 500``."""

    ours_s: float
    baseline_s: float
    difference: float
    """Difference of logits, relative to the largest; for a graph, its missing edges."""

    def row(self) -> tuple[str, ...]:
        """Return one row of a table: see `BASELINE_HEADER`."""
        return (
            self.stage,
            self.name,
            f"{self.ours_s:.3f} s",
            f"{self.baseline_s:.3f} s",
            f"{self.baseline_s / self.ours_s:.1f}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineReport:
    """All figures, with the command and the machine."""

    command: str
    machine: Json
    weights_id: str
    threads: int
    rates: tuple[EventRate, ...]
    sizes: tuple[SizeCost, ...]
    baseline_points: int
    baselines: tuple[Baseline, ...]

    @property
    def edge_exponent(self) -> float | None:
        """Exponent of the time as a power of the number of edges; None for one size.

        By least squares in logarithms, over the events of 10,000 points and more, or
        over all if there are fewer than two of these.
        """
        return edge_exponent(self.sizes)

    def to_dict(self) -> Json:
        """Return plain values for JSON."""
        return asdict(self) | {"edge_exponent": self.edge_exponent}

    def tables(self) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
        """Return title, header and rows of each table."""
        return [
            ("events", RATE_HEADER, [each.row() for each in self.rates]),
            ("sizes", SIZE_HEADER, [each.row() for each in self.sizes]),
            (
                f"baselines, {self.baseline_points:,} points",
                BASELINE_HEADER,
                [each.row() for each in self.baselines],
            ),
        ]

    def conclusion(self) -> str:
        """Return one line: the growth of time with size, and the machine."""
        machine = self.machine
        exponent = self.edge_exponent
        grows = "" if exponent is None else f"time grows as edges^{exponent:.2f}; "
        return (
            f"{grows}{machine['cores']} cores of {machine['processor']}, "
            f"{self.threads} threads, load {machine['load_before']:.1f} before"
        )

    def markdown(self) -> str:
        """Return the tables as markdown, with the command and the machine."""
        parts = [f"`{self.command}`: {self.conclusion()}."]
        for _, header, rows in self.tables():
            lines = [header, ["---"] * len(header), *rows]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        return "\n\n".join(parts) + "\n"


def edge_exponent(sizes: Sequence[SizeCost]) -> float | None:
    """See `PipelineReport.edge_exponent`."""
    with_edges = [size for size in sizes if size.n_radius_edges > 0]
    large = [size for size in with_edges if size.n_points >= FEWEST_POINTS]
    of_interest = large if len(large) > 1 else with_edges
    if len(of_interest) < 2:
        return None
    edges = np.log([size.n_radius_edges for size in of_interest])
    seconds = np.log([size.total_s for size in of_interest])
    return float(np.polyfit(edges, seconds, 1)[0])


def plot_pipeline(report: PipelineReport, path: Path) -> None:
    """Draw seconds by stage against points, seconds against edges, and memory.

    A line of slope 1 through the largest event shows where time is linear in the
    number of edges.

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
    write_picture(path, figure, dpi=120)
