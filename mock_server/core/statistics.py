"""Counters of a model, which follow Triton's rules."""

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mock_server.wire.inference import FailureReason


@dataclass(frozen=True, slots=True)
class Duration:
    """Number of times something happened, and their total duration."""

    count: int = 0
    ns: int = 0


class ExecutionTimes(NamedTuple):
    """Times of one executed batch, in nanoseconds."""

    input_ns: int  #: converting requests to arrays
    infer_ns: int  #: the model
    output_ns: int  #: converting arrays to responses


class BatchStatistics(NamedTuple):
    """Executions of one batch size."""

    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


HISTOGRAM_BOUNDS_MS = (100, 500, 2000, 5000)
"""Of Triton's histograms (``src/metric_model_reporter.h`` of core)."""


class Histogram(NamedTuple):
    """Times in whole milliseconds, counted by `HISTOGRAM_BOUNDS_MS`."""

    counts: tuple[int, ...] = (0,) * (len(HISTOGRAM_BOUNDS_MS) + 1)
    """Times up to each bound and above the one before; above all bounds at last."""

    sum_ms: int = 0


class ModelStatistics(NamedTuple):
    """A snapshot of a model's counters since it was loaded."""

    last_inference_ms: int = 0  #: ms since the epoch; 0 before the first
    inference_count: int = 0  #: rows with batching, requests without
    execution_count: int = 0  #: batches run, including failed ones
    success: Duration = Duration()  #: responses, including errors of the model
    fail: Duration = Duration()  #: exceptions, and requests dropped while waiting
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()
    batches: tuple[tuple[int, BatchStatistics], ...] = ()  #: by batch size, ascending
    failures: Mapping[FailureReason, int] = {}  #: what `fail` counts, by reason
    answers: Histogram = Histogram()  #: from arrival to the (last) response


class Answered(NamedTuple):
    """A request that was answered, possibly with an error of the model."""

    batch_size: int
    queue_ns: int  #: waiting for an instance
    total_ns: int  #: from arrival to response


@dataclass(slots=True)
class _Total:
    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        self.count += count
        self.ns += ns * count

    def snapshot(self) -> Duration:
        return Duration(self.count, self.ns)


@dataclass(slots=True)
class _Compute:
    input: _Total = field(default_factory=_Total)
    infer: _Total = field(default_factory=_Total)
    output: _Total = field(default_factory=_Total)

    def add(self, times: ExecutionTimes, count: int = 1) -> None:
        self.input.add(times.input_ns, count)
        self.infer.add(times.infer_ns, count)
        self.output.add(times.output_ns, count)

    def snapshot(self) -> BatchStatistics:
        return BatchStatistics(
            self.input.snapshot(), self.infer.snapshot(), self.output.snapshot()
        )


class StatisticsCounter:
    """Counts the requests of one model; may be used from any thread.

    Notes
    -----
    Triton's rules: a response with an error from the model is a success; an exception
    counts as failure and as execution of its batch size, and nowhere else; requests
    refused before they are queued, or because the queue is full, count nowhere.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_inference_ms = 0
        self._inferences = 0
        self._executions = 0
        self._success, self._fail, self._queue = _Total(), _Total(), _Total()
        self._compute = _Compute()
        self._batches: dict[int, _Compute] = {}
        self._failures = dict.fromkeys(FailureReason, 0)
        self._answer_counts = list(Histogram().counts)
        self._answer_ms = 0

    def snapshot(self) -> ModelStatistics:
        """Current counters."""
        with self._lock:
            compute = self._compute.snapshot()
            return ModelStatistics(
                last_inference_ms=self._last_inference_ms,
                inference_count=self._inferences,
                execution_count=self._executions,
                success=self._success.snapshot(),
                fail=self._fail.snapshot(),
                queue=self._queue.snapshot(),
                compute_input=compute.compute_input,
                compute_infer=compute.compute_infer,
                compute_output=compute.compute_output,
                batches=tuple(
                    (size, self._batches[size].snapshot())
                    for size in sorted(self._batches)
                ),
                failures=dict(self._failures),
                answers=Histogram(tuple(self._answer_counts), self._answer_ms),
            )

    def _observe(self, total_ns: int) -> None:
        spent_ms = total_ns // 1_000_000
        self._answer_counts[bisect_left(HISTOGRAM_BOUNDS_MS, spent_ms)] += 1
        self._answer_ms += spent_ms

    def executed(
        self, answered: list[Answered], batch_size: int, times: ExecutionTimes
    ) -> None:
        """Count a batch that ran, and its answered requests.

        `batch_size` is that of the batch, which may include rows of no request.
        """
        with self._lock:
            self._last_inference_ms = time.time_ns() // 1_000_000
            self._executions += 1
            self._inferences += sum(each.batch_size for each in answered)
            for each in answered:
                self._success.add(each.total_ns)
                self._observe(each.total_ns)
                self._queue.add(each.queue_ns)
            self._compute.add(times, len(answered))
            self._batches.setdefault(batch_size, _Compute()).add(times)

    def crashed(
        self, totals_ns: list[int], batch_size: int, times: ExecutionTimes
    ) -> None:
        """Count a batch whose model raised an exception, and its requests."""
        with self._lock:
            self._last_inference_ms = time.time_ns() // 1_000_000
            self._executions += 1
            self._batches.setdefault(batch_size, _Compute()).add(times)
            for total_ns in totals_ns:
                self._fail.add(total_ns)
                self._observe(total_ns)
            self._failures[FailureReason.BACKEND] += len(totals_ns)

    def dropped(self, reason: FailureReason, total_ns: int) -> None:
        """Count a request that was dropped before it ran."""
        with self._lock:
            self._fail.add(total_ns)
            self._observe(total_ns)
            self._failures[reason] += 1
