"""Counters of a model, by Triton's rules of what counts where."""

import threading
import time
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something happened, and how long it took in all."""

    count: int = 0
    ns: int = 0

    def plus(self, ns: int) -> "Duration":
        """One more, of `ns` nanoseconds."""
        return Duration(self.count + 1, self.ns + ns)


class ExecutionTimes(NamedTuple):
    """Where the time of one answered request went, in nanoseconds."""

    total_ns: int  #: from arrival to answer
    queue_ns: int  #: waiting for a free instance
    input_ns: int  #: making arrays of the request
    infer_ns: int  #: the model function
    output_ns: int  #: making the answer


class BatchStatistics(NamedTuple):
    """Executions of one batch size."""

    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


class ModelStatistics(NamedTuple):
    """A snapshot of a model's counters since it was loaded."""

    last_inference_ms: int = 0  #: ms since the epoch, 0 before the first
    inference_count: int = 0  #: rows of all batches; else requests
    execution_count: int = 0  #: calls of the function, failed ones included
    success: Duration = Duration()  #: answers, error answers of the model included
    fail: Duration = Duration()  #: exceptions, and requests abandoned while waiting
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()
    batches: tuple[tuple[int, BatchStatistics], ...] = ()  #: by batch size, ascending


class StatisticsCounter:
    """Counts the requests of one model; may be used from any thread.

    Notes
    -----
    Triton's rules: a response with an error from the model is a success; an exception
    counts as failure and as execution, and nowhere else; requests refused before they
    are queued count nowhere.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = ModelStatistics()

    def snapshot(self) -> ModelStatistics:
        """Counters as they are now."""
        return self._now

    def answered(self, batch_size: int, times: ExecutionTimes) -> None:
        """Count a request that got the model's answer, be it an error."""
        with self._lock:
            now = self._now
            batches = dict(now.batches)
            batch = batches.get(batch_size, BatchStatistics())
            batches[batch_size] = BatchStatistics(
                batch.compute_input.plus(times.input_ns),
                batch.compute_infer.plus(times.infer_ns),
                batch.compute_output.plus(times.output_ns),
            )
            self._now = now._replace(
                last_inference_ms=time.time_ns() // 1_000_000,
                inference_count=now.inference_count + batch_size,
                execution_count=now.execution_count + 1,
                success=now.success.plus(times.total_ns),
                queue=now.queue.plus(times.queue_ns),
                compute_input=now.compute_input.plus(times.input_ns),
                compute_infer=now.compute_infer.plus(times.infer_ns),
                compute_output=now.compute_output.plus(times.output_ns),
                batches=tuple(sorted(batches.items())),
            )

    def crashed(self, total_ns: int) -> None:
        """Count a request whose model raised an exception."""
        with self._lock:
            self._now = self._now._replace(
                execution_count=self._now.execution_count + 1,
                fail=self._now.fail.plus(total_ns),
            )

    def abandoned(self, total_ns: int) -> None:
        """Count a request whose client left before an instance was free."""
        with self._lock:
            self._now = self._now._replace(fail=self._now.fail.plus(total_ns))
