"""What a tracking job did: for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from producers import LoopTimes
from producers.model.track_block import FailureRow
from sonic_client import JobSummary

__all__ = ["TrackingReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingReport:
    """What a job found, and where its time and memory went."""

    output: Path
    n_candidates: int
    n_resumed: int = 0
    """Events that an interrupted job had finished before."""

    failures: tuple[FailureRow, ...] = ()
    summary: JobSummary
    times: LoopTimes
    start_s: float
    """Until the server was up and the client connected."""

    loop_s: float
    """From the first event to the last, whoever did them."""

    close_s: float
    """For the last block of the output."""

    stage_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds in each stage of the pipeline, summed over its threads; empty if the
    server was elsewhere."""

    peak_memory_bytes: int

    @property
    def loop_parts_s(self) -> dict[str, float]:
        """Seconds by what the loop did, from the first read to the last write.

        Servers compute while the loop does any of it; ``wait`` is when it did nothing
        but wait for them. Of several workers, each counts: the sum is more than
        `loop_s`.
        """
        times = self.times
        return {
            "read": times.read_s,
            "acquire": times.acquire_s,
            "wait": times.wait_s,
            "produce": times.produce_s,
            "write": times.write_s + self.close_s,
        }

    @property
    def events_per_s(self) -> float:
        """Events per second of the loop, the server's start left out."""
        loop_s = self.loop_s + self.close_s
        return self.times.events / loop_s if loop_s > 0.0 else 0.0

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        times = self.times
        return {
            "output": str(self.output),
            "events": times.events,
            "failed_events": times.failed_events,
            "failures": [asdict(row) for row in self.failures],
            "resumed_events": self.n_resumed,
            "space_points": times.space_points,
            "candidates": self.n_candidates,
            "events_per_s": self.events_per_s,
            "time_s": {"start": self.start_s, **self.loop_parts_s},
            "compute_s": dict(self.stage_s) or None,
            "peak_memory_bytes": self.peak_memory_bytes,
            "summary": self.summary.to_dict(),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, ready for a table."""
        n_events = self.times.events + self.n_resumed
        rows = [
            ("track candidates", f"{self.n_candidates} in {n_events} events"),
            *self.summary.rows(),
            ("events per second", f"{self.events_per_s:.3g}, start-up left out"),
            ("time", _shares(self.loop_parts_s)),
        ]
        if self.n_resumed:
            rows.insert(1, ("resumed", f"after {self.n_resumed} events"))
        rows += [("failed", _failed(self.failures))] if self.failures else []
        if self.stage_s:
            rows.append(("compute", _shares(self.stage_s)))
        rows += [
            ("peak memory", f"{self.peak_memory_bytes / 1e6:.0f} MB"),
            ("written", str(self.output)),
        ]
        return rows


def _failed(failures: tuple[FailureRow, ...]) -> str:
    ids = ", ".join(str(row.event) for row in failures[:5])
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return f"{len(failures)}: event {ids}{more} ({failures[0].cause})"


def _shares(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
