"""What Triton tells Prometheus of its models, in Prometheus' text form.

Names, labels, texts and counting rules are those of Triton Inference Server 2.51. They
are why prometheus-client does not write them: it appends ``_total`` to every counter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mock_server.core.loaded_model import Loaded
from mock_server.statistics import FailureReason, ModelStatistics

CONTENT_TYPE = "text/plain; charset=utf-8"

PINNED_POOL_BYTES = 268_435_456
"""Triton's default pool of pinned memory, of which nothing is used without a GPU."""

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One value of a metric."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with all its samples."""

    name: str
    help: str
    kind: str
    samples: tuple[Sample, ...]

    def text(self) -> str:
        """Lines of the exposition format, each ended."""
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.kind}"]
        lines += [
            f"{self.name}{_braced(s.labels)} {s.value:.17g}" for s in self.samples
        ]
        return "".join(f"{line}\n" for line in lines)


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    quoted = (f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items()))
    return "{" + ",".join(quoted) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


_NO_CACHE = "(does not include cached requests)"
_CACHE = "(includes cached requests)"
_COUNTERS: tuple[tuple[str, str, Callable[[ModelStatistics], float]], ...] = (
    (
        "nv_inference_count",
        f"Number of inferences performed {_NO_CACHE}",
        lambda s: s.inference_count,
    ),
    (
        "nv_inference_exec_count",
        f"Number of model executions performed {_NO_CACHE}",
        lambda s: s.execution_count,
    ),
    (
        "nv_inference_request_duration_us",
        f"Cumulative inference request duration in microseconds {_CACHE}",
        lambda s: s.success.ns // 1000,
    ),
    (
        "nv_inference_queue_duration_us",
        f"Cumulative inference queuing duration in microseconds {_CACHE}",
        lambda s: s.queue.ns // 1000,
    ),
    (
        "nv_inference_compute_input_duration_us",
        f"Cumulative compute input duration in microseconds {_NO_CACHE}",
        lambda s: s.compute_input.ns // 1000,
    ),
    (
        "nv_inference_compute_infer_duration_us",
        f"Cumulative compute inference duration in microseconds {_NO_CACHE}",
        lambda s: s.compute_infer.ns // 1000,
    ),
    (
        "nv_inference_compute_output_duration_us",
        f"Cumulative inference compute output duration in microseconds {_NO_CACHE}",
        lambda s: s.compute_output.ns // 1000,
    ),
)


def metrics_text(models: Iterable[Loaded], cpu: CpuMeter) -> str:
    """Everything, as one scrape gets it."""
    return "".join(
        metric.text() for metric in (*_model_metrics(models), *_server_metrics(cpu))
    )


def _model_metrics(models: Iterable[Loaded]) -> Iterator[Metric]:
    counted = [
        (
            {"model": loaded.model.name, "version": loaded.model.version},
            loaded.statistics.snapshot(),
            loaded.pending,
        )
        for loaded in models
    ]
    yield Metric(
        "nv_inference_request_success",
        "Number of successful inference requests, all batch sizes",
        "counter",
        tuple(Sample(labels, now.success.count) for labels, now, _ in counted),
    )
    yield Metric(
        "nv_inference_request_failure",
        "Number of failed inference requests, all batch sizes",
        "counter",
        tuple(
            Sample({**labels, "reason": reason.value}, now.failures.get(reason, 0))
            for labels, now, _ in counted
            for reason in FailureReason
        ),
    )
    for name, text, value_of in _COUNTERS:
        samples = tuple(Sample(labels, value_of(now)) for labels, now, _ in counted)
        yield Metric(name, text, "counter", samples)
    yield Metric(
        "nv_inference_pending_request_count",
        "Instantaneous number of pending requests awaiting execution per-model.",
        "gauge",
        tuple(Sample(labels, pending) for labels, _, pending in counted),
    )


def _server_metrics(cpu: CpuMeter) -> Iterator[Metric]:
    memory = memory_bytes()
    for name, text, value in (
        (
            "nv_pinned_memory_pool_total_bytes",
            "Pinned memory pool total memory size, in bytes",
            PINNED_POOL_BYTES,
        ),
        (
            "nv_pinned_memory_pool_used_bytes",
            "Pinned memory pool used memory size, in bytes",
            0,
        ),
        (
            "nv_cpu_utilization",
            "CPU utilization rate [0.0 - 1.0]",
            cpu.utilization(),
        ),
        (
            "nv_cpu_memory_total_bytes",
            "CPU total memory (RAM), in bytes",
            memory.total,
        ),
        (
            "nv_cpu_memory_used_bytes",
            "CPU used memory (RAM), in bytes",
            memory.used,
        ),
    ):
        yield Metric(name, text, "gauge", (Sample({}, value),))


class Memory(NamedTuple):
    """Of the machine, in bytes; zeros where the system does not tell."""

    total: int
    used: int


def memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> Memory:
    """Main memory by Linux' own account."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return Memory(0, 0)
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return Memory(
        1024 * kib["MemTotal"], 1024 * (kib["MemTotal"] - kib["MemAvailable"])
    )


class CpuMeter:
    """Share of the machine's cores that this process has used since the last time."""

    def __init__(self) -> None:
        self._last = self._now()

    def utilization(self) -> float:
        """Between 0 and 1."""
        (busy_before_s, wall_before_s), self._last = self._last, self._now()
        busy_s, wall_s = self._last
        passed_s = (wall_s - wall_before_s) * (os.cpu_count() or 1)
        return min(1.0, (busy_s - busy_before_s) / passed_s) if passed_s > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.process_time(), time.monotonic()
