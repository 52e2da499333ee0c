"""What one point of a benchmark measured: plain values, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any

from sonic_tracking.bench.scan import ScanPoint

__all__ = ["Measurement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Repeated passes over all events at one point, after a warm-up."""

    point: ScanPoint
    n_events: int
    """Of each pass."""

    passes_s: Sequence[float]
    """Seconds that each pass took."""

    latency_s: Mapping[str, float] = field(default_factory=dict)
    """Of a request, as the client saw it: mean, p50, p90, p99."""

    split_s: Mapping[str, float] = field(default_factory=dict)
    """Mean seconds of a request: overhead, queue, compute_input, compute_infer,
    compute_output; the last four as the server counted them."""

    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Mean seconds of an event in each stage of the pipeline, or step of the ensemble
    (its transfers included); empty where the server does not tell."""

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

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
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
        """One row of a table: see `HEADER`."""
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
