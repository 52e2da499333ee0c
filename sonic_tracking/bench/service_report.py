"""A scan of a service: its points, what was measured at each, and the plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from producers.io import write_picture
from sonic_base import ConfigError
from sonic_tracking.errors import needs_extra
from sonic_tracking.outputs import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "DIRECT",
    "Measurement",
    "ScanPoint",
    "parse_range",
    "plan_scan",
    "plot_service",
    "scan_of",
]

DIRECT = "direct"
"""Stands for a model: the pipeline in this process, without a server."""

SERVED = ("exatrkx", "exatrkx_ensemble")


@dataclass(frozen=True, slots=True, order=True)
class ScanPoint:
    """One setting to measure."""

    instances: int
    """Instances of the model on the server, or threads of the direct pipeline."""

    model: str

    concurrency: int
    """Requests in flight, or threads of the direct pipeline."""


def parse_range(text: str, name: str) -> tuple[int, ...]:
    """Return the numbers of ``FIRST:LAST``, ``FIRST:LAST:STEP`` or a list ``1,2,4``.

    Both ends are included, as in perf_analyzer.

    Raises
    ------
    ConfigError
        If the text has another form, or a number is below 1.
    """
    try:
        if ":" in text:
            first, last, *steps = map(int, text.split(":"))
            (step,) = steps or (1,)
            numbers = tuple(range(first, last + 1, step))
        else:
            numbers = tuple(sorted(set(map(int, text.split(",")))))
    except ValueError as error:
        raise ConfigError(
            f"{name}: expected FIRST:LAST[:STEP] or a list such as 1,2,4, got {text!r}"
        ) from error
    if not numbers or numbers[0] < 1:
        raise ConfigError(f"{name}: expected numbers from 1 upwards, got {text!r}")
    return numbers


def plan_scan(
    models: Iterable[str], concurrency: Sequence[int], instances: Sequence[int]
) -> tuple[ScanPoint, ...]:
    """Return the points of the paper's figures, those of one server together.

    Concurrency is scanned at the fewest instances, instances at the highest
    concurrency; the direct pipeline at as many threads as there are instances.

    Raises
    ------
    ConfigError
        If a model is unknown, or none is named.
    """
    wanted = list(dict.fromkeys(models))
    unknown = [model for model in wanted if model not in (*SERVED, DIRECT)]
    if unknown or not wanted:
        raise ConfigError(
            f"--model: expected some of {', '.join((*SERVED, DIRECT))}, "
            f"got {', '.join(unknown) or 'none'}"
        )
    points = set()
    for model in wanted:
        if model == DIRECT:
            points |= {ScanPoint(n, DIRECT, n) for n in instances}
            continue
        points |= {ScanPoint(min(instances), model, n) for n in concurrency}
        points |= {ScanPoint(n, model, max(concurrency)) for n in instances}
    return tuple(sorted(points))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Repeated passes over all events at one point, after a warm-up."""

    point: ScanPoint
    n_events: int
    """Events of each pass."""

    passes_s: Sequence[float]
    """Seconds of each pass."""

    latency_s: Mapping[str, float] = field(default_factory=dict)
    """Latency of a request at the client: mean, p50, p90, p99."""

    split_s: Mapping[str, float] = field(default_factory=dict)
    """Mean seconds of a request: overhead, queue, compute_input, compute_infer,
    compute_output; the last four as the server counted them."""

    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Mean seconds of an event in each stage of the pipeline, or step of the ensemble
    with its transfers; empty if the server does not report them."""

    utilisation: Mapping[str, float] = field(default_factory=dict)
    """Share of all cores: ``machine``, ``client``, ``server``; of GPUs: ``gpu``."""

    @property
    def rates(self) -> list[float]:
        """Events per second of each pass."""
        return [self.n_events / seconds for seconds in self.passes_s]

    @property
    def events_per_s(self) -> float:
        """Mean over the passes."""
        return fmean(self.rates)

    @property
    def spread(self) -> float:
        """Standard deviation over the passes, in events per second; 0 for one."""
        return stdev(self.rates) if len(self.rates) > 1 else 0.0

    def to_dict(self) -> Json:
        """Return plain values for JSON."""
        return {
            **asdict(self.point),
            "n_events": self.n_events,
            "passes_s": list(self.passes_s),
            "events_per_s": self.events_per_s,
            "events_per_s_std": self.spread,
            "latency_s": dict(self.latency_s),
            "split_s": dict(self.split_s),
            "stages_s": dict(self.stages_s),
            "utilisation": dict(self.utilisation),
        }

    def row(self) -> tuple[str, ...]:
        """Return one row of a table: see `HEADER`."""
        point = self.point
        return (
            point.model,
            str(point.instances),
            str(point.concurrency),
            f"{self.events_per_s:.2f} ± {self.spread:.2f}",
            *(_milliseconds(self.latency_s.get(name)) for name in ("p50", "p99")),
            *(
                _milliseconds(self.split_s.get(name))
                for name in ("overhead", "queue", "compute_infer")
            ),
            _percent(self.utilisation.get("machine")),
        )


HEADER = (
    "model",
    "instances",
    "concurrency",
    "events/s",
    "p50",
    "p99",
    "overhead",
    "queue",
    "compute",
    "busy",
)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.1f} ms"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


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
    write_picture(path, figure, dpi=120)


def scan_of(
    measurements: Iterable[Measurement], model: str, axis: str
) -> list[Measurement]:
    """Return the measurements of a model along one axis.

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
