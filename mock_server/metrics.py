"""Triton's Prometheus metrics of the models, and the service that answers with them.

Names, labels, texts and counting rules are those of Triton Inference Server 2.51, and
of ``src/metrics.cc`` of core for the releases after it.
prometheus-client cannot write them, because it appends ``_total`` to every counter.
Triton's gauges of the machine (memory, processor, pinned memory) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from aiohttp import web

from mock_server.core.loaded_model import Loaded
from mock_server.core.repository import Repository
from mock_server.core.statistics import (
    HISTOGRAM_BOUNDS_MS,
    Histogram,
    ModelStatistics,
)
from mock_server.profiles import Profile
from mock_server.wire.inference import FailureReason

CONTENT_TYPE = "text/plain; charset=utf-8"

Labels = Mapping[str, str]


class MetricsService:
    """Answers each GET, on every path, with the metrics of all loaded models."""

    def __init__(self, repository: Repository, profile: Profile) -> None:
        self._repository, self._profile = repository, profile

    async def answer(self, request: web.Request) -> web.Response:
        """Text of the metrics."""
        if request.method != "GET":
            return web.json_response({"error": "Method Not Allowed"}, status=405)
        text = metrics_text(self._repository.all(), self._profile)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


class Sample(NamedTuple):
    """One value of a metric."""

    labels: Labels
    value: float
    suffix: str = ""  #: of the metric's name


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
            f"{self.name}{s.suffix}{_braced(s.labels)} {s.value:.17g}"
            for s in self.samples
        ]
        return "".join(f"{line}\n" for line in lines)


def _braced(labels: Labels) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items()))
    return "{" + ",".join(quoted) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


_NO_CACHE = "(does not include cached requests)"
_CACHE = "(includes cached requests)"
_COUNTERS: tuple[tuple[str, str, Callable[[ModelStatistics], float]], ...] = (
    (
        "nv_inference_request_success",
        "Number of successful inference requests, all batch sizes",
        lambda s: s.success.count,
    ),
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


def metrics_text(models: Iterable[Loaded], profile: Profile) -> str:
    """All metrics, as one scrape gets them."""
    return "".join(metric.text() for metric in _metrics(list(models), profile))


def _metrics(models: list[Loaded], profile: Profile) -> Iterator[Metric]:
    counted = [
        (
            {"model": loaded.model.name, "version": loaded.model.version},
            loaded.statistics.snapshot(),
            loaded.pending,
        )
        for loaded in models
    ]
    for name, text, value_of in _COUNTERS:
        samples = tuple(Sample(labels, value_of(now)) for labels, now, _ in counted)
        yield Metric(name, text, "counter", samples)
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
    yield Metric(
        "nv_inference_pending_request_count",
        "Instantaneous number of pending requests awaiting execution per-model.",
        "gauge",
        tuple(Sample(labels, pending) for labels, _, pending in counted),
    )
    if profile.load_time_metric:
        yield Metric(
            "nv_model_load_duration_secs",
            "Model load time in seconds",
            "gauge",
            tuple(
                Sample(labels, loaded.load_s)
                for loaded, (labels, _, _) in zip(models, counted, strict=True)
            ),
        )
    if profile.latency_histograms:
        yield Metric(
            "nv_inference_first_response_histogram_ms",
            "Duration from request to first response in milliseconds",
            "histogram",
            tuple(
                sample
                for labels, now, _ in counted
                for sample in _histogram(labels, now.answers)
            ),
        )


def _histogram(labels: Labels, histogram: Histogram) -> Iterator[Sample]:
    yield Sample(labels, sum(histogram.counts), "_count")
    yield Sample(labels, histogram.sum_ms, "_sum")
    bounds = (*map(str, HISTOGRAM_BOUNDS_MS), "+Inf")
    for bound, n_below in zip(bounds, accumulate(histogram.counts), strict=True):
        yield Sample({**labels, "le": bound}, n_below, "_bucket")
