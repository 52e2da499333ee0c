"""One batch on one instance: its answers, its times, and the errors of its model."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from mock_server.core.statistics import Answered, ExecutionTimes, StatisticsCounter
from mock_server.core.tensor_forms import reshaped_inputs, reshaped_outputs
from mock_server.errors import BackendError, ModelError, exception_text, internal
from mock_server.model.declaration import Execution, Instance, Model
from mock_server.scheduling.queue import PendingRequest
from mock_server.wire.inference import InferenceRequest, InferenceResponse

logger = logging.getLogger(__name__)


def run_batch(
    model: Model,
    instance: Instance,
    instance_name: str,
    batch: Sequence[PendingRequest],
    statistics: StatisticsCounter,
) -> None:
    """Have an instance answer these requests together, and count them.

    An exception of the instance becomes the answer of every request that has not had
    its last response yet.
    """
    times = _BatchTimes(statistics, batch)
    running = [_Running(model, pending, times) for pending in batch]
    executions = [Execution(each.request(), each.respond) for each in running]
    times.inputs_read()
    try:
        instance.execute(executions)
    except BaseException as exc:
        # SystemExit too: in a worker thread it would end nothing, and the clients would
        # wait for ever.
        if not isinstance(exc, BackendError):
            logger.exception("model instance %s failed", instance_name)
        error = internal(
            f"Failed to process the request(s) for model '{instance_name}', message: "
            f"{exception_text(exc)}"
        )
        times.count_crashed()
        for each in running:
            each.fail(error)
    else:
        times.count_executed()
        for each in running:
            each.release()


class _Running:
    """One request of a batch that runs, and its responses.

    The answer of a model that is not decoupled is held until the batch is done, so that
    it is counted before the client can ask for the counters.
    """

    def __init__(
        self, model: Model, pending: PendingRequest, times: "_BatchTimes"
    ) -> None:
        self._model = model
        self._pending = pending
        self._times = times
        self._wanted = {output.name for output in pending.request.outputs} or {
            spec.name for spec in model.outputs
        }
        self._held: list[InferenceResponse | None] = []
        self._is_holding = not model.is_decoupled
        self._is_final = False

    def request(self) -> InferenceRequest:
        """Return the request as the model sees it: control inputs, its own shapes."""
        request = self._pending.seen_by_model()
        if not any(spec.reshape for spec in self._model.inputs):
            return request
        return replace(request, inputs=reshaped_inputs(self._model, request.inputs))

    def respond(self, response: InferenceResponse | None, is_final: bool) -> None:
        """Pass a response on; anything after the last one is dropped."""
        if self._is_final:
            return
        self._is_final = is_final
        if response is not None:
            kept = [t for t in response.outputs if t.name in self._wanted]
            outputs = reshaped_outputs(self._model, kept)
            if outputs != response.outputs:
                response = replace(response, outputs=outputs)
        if self._is_holding:
            self._held.append(response)
            return
        if is_final:
            self._times.one_done()
        self._pending.respond(response, is_final)

    def release(self) -> None:
        """Send the held responses, and hold no more."""
        self._is_holding = False
        held, self._held = self._held, []
        for position, response in enumerate(held, 1):
            self._pending.respond(response, self._is_final and position == len(held))

    def fail(self, error: ModelError) -> None:
        """Answer with an error, unless the last response was sent already."""
        if self._is_final and not self._is_holding:
            return
        self._is_final = True
        pending = self._pending
        pending.respond(self._model.response_to(pending.request, error=error), True)


class _BatchTimes:
    """The times of one batch, counted once: when it is done, or has crashed."""

    def __init__(
        self, statistics: StatisticsCounter, batch: Sequence[PendingRequest]
    ) -> None:
        self._statistics = statistics
        self._requests = [pending for pending in batch if not pending.is_filler]
        self._size = sum(pending.batch_size for pending in batch)
        self._n_open = len(batch)
        self._is_counted = False
        self._started_ns = self._read_ns = time.perf_counter_ns()

    def inputs_read(self) -> None:
        """Note that the time of the model begins."""
        self._read_ns = time.perf_counter_ns()

    def one_done(self) -> None:
        """Count the batch with the last response of its last request.

        The instance may stay busy for longer, but the client knows already that it has
        all its responses.
        """
        self._n_open -= 1
        if self._n_open == 0:
            self.count_executed()

    def count_executed(self) -> None:
        """Count a batch whose model returned."""
        if self._is_counted:
            return
        self._is_counted = True
        ran_ns = time.perf_counter_ns()
        done_ns = time.perf_counter_ns()
        answered = [
            Answered(
                batch_size=pending.batch_size,
                queue_ns=self._started_ns - pending.arrived_ns,
                total_ns=done_ns - pending.arrived_ns,
            )
            for pending in self._requests
        ]
        self._statistics.executed(answered, self._size, self._times(ran_ns, done_ns))

    def count_crashed(self) -> None:
        """Count a batch whose model raised."""
        if self._is_counted:
            return
        self._is_counted = True
        now_ns = time.perf_counter_ns()
        totals_ns = [now_ns - pending.arrived_ns for pending in self._requests]
        self._statistics.crashed(totals_ns, self._size, self._times(now_ns, now_ns))

    def _times(self, ran_ns: int, done_ns: int) -> ExecutionTimes:
        return ExecutionTimes(
            input_ns=self._read_ns - self._started_ns,
            infer_ns=ran_ns - self._read_ns,
            output_ns=done_ns - ran_ns,
        )
