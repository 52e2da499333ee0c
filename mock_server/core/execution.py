"""One batch on one instance: its answers, its times, what its failures look like."""

import time
from collections.abc import Sequence
from dataclasses import replace

import grpc

from mock_server.core.statistics import Answered, ExecutionTimes, StatisticsCounter
from mock_server.core.tensor_forms import reshaped_inputs, reshaped_outputs
from mock_server.errors import ModelError, exception_text
from mock_server.model.declaration import Model
from mock_server.model.instances import Execution, Instance
from mock_server.scheduling.pending import PendingRequest
from mock_server.wire.inference import InferenceRequest, InferenceResponse


def run_batch(
    model: Model,
    instance: Instance,
    instance_name: str,
    batch: Sequence[PendingRequest],
    statistics: StatisticsCounter,
) -> None:
    """Have an instance answer these requests, together; count them.

    What the instance raises becomes the answer of every request that has not had its
    last response yet.
    """
    account = _Account(statistics, batch)
    running = [_Running(model, pending, account) for pending in batch]
    executions = [Execution(each.request, each.respond) for each in running]
    account.inputs_are_read()
    try:
        instance.execute(executions)
    except BaseException as exc:
        # SystemExit too: in a worker thread it would end nothing, and the clients would
        # wait for ever.
        error = ModelError(
            grpc.StatusCode.INTERNAL,
            f"Failed to process the request(s) for model '{instance_name}', message: "
            f"{exception_text(exc)}",
        )
        account.crashed()
        for each in running:
            each.fail(error)
    else:
        account.executed()
        for each in running:
            each.release()


class _Running:
    """One request of a batch that runs, and its responses on their way out.

    The answer of a model that is not decoupled is held until the batch is done, so that
    it is counted before the client can ask.
    """

    def __init__(
        self, model: Model, pending: PendingRequest, account: "_Account"
    ) -> None:
        self._model = model
        self._pending = pending
        self._account = account
        self._wanted = {output.name for output in pending.request.outputs} or {
            spec.name for spec in model.outputs
        }
        self._held: list[InferenceResponse | None] = []
        self._is_holding = not model.is_decoupled
        self._is_final = False

    @property
    def request(self) -> InferenceRequest:
        request = self._pending.seen_by_model()
        if not self._model.has_reshape:
            return request
        return replace(request, inputs=reshaped_inputs(self._model, request.inputs))

    def respond(self, response: InferenceResponse | None, is_final: bool) -> None:
        """Pass a response on; what comes after the last one is dropped."""
        if self._is_final:
            return
        self._is_final = is_final
        if response is not None:
            kept = [t for t in response.outputs if t.name in self._wanted]
            outputs = tuple(reshaped_outputs(self._model, kept))
            if outputs != response.outputs:
                response = response.with_outputs(outputs)
        if self._is_holding:
            self._held.append(response)
            return
        if is_final:
            self._account.one_is_done()
        self._pending.respond(response, is_final)

    def release(self) -> None:
        """Send what was held, and hold no more."""
        self._is_holding = False
        held, self._held = self._held, []
        for position, response in enumerate(held, 1):
            self._pending.respond(response, self._is_final and position == len(held))

    def fail(self, error: ModelError) -> None:
        """Answer with an error, unless there was a last response already."""
        if self._is_final and not self._is_holding:
            return
        self._is_final = True
        request = self._pending.request
        response = InferenceResponse(
            model_name=self._model.name,
            model_version=self._model.version,
            id=request.id,
            error=error,
        )
        self._pending.respond(response, True)


class _Account:
    """The times of one batch, counted once: when it is done, or has crashed."""

    def __init__(
        self, statistics: StatisticsCounter, batch: Sequence[PendingRequest]
    ) -> None:
        self._statistics = statistics
        self._batch = batch
        self._open = len(batch)
        self._size = sum(pending.batch_size for pending in batch)
        self._is_counted = False
        self._started_ns = self._read_ns = time.perf_counter_ns()

    def inputs_are_read(self) -> None:
        self._read_ns = time.perf_counter_ns()

    def one_is_done(self) -> None:
        """Count the batch with the last response of its last request.

        The instance may be busy for longer; but the client knows already that it has
        got everything.
        """
        self._open -= 1
        if self._open == 0:
            self.executed()

    def executed(self) -> None:
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
            for pending in self._batch
            if not pending.is_filler
        ]
        self._statistics.executed(answered, self._size, self._times(ran_ns, done_ns))

    def crashed(self) -> None:
        if self._is_counted:
            return
        self._is_counted = True
        now_ns = time.perf_counter_ns()
        totals_ns = [
            now_ns - pending.arrived_ns
            for pending in self._batch
            if not pending.is_filler
        ]
        self._statistics.crashed(totals_ns, self._size, self._times(now_ns, now_ns))

    def _times(self, ran_ns: int, done_ns: int) -> ExecutionTimes:
        return ExecutionTimes(
            input_ns=self._read_ns - self._started_ns,
            infer_ns=ran_ns - self._read_ns,
            output_ns=done_ns - ran_ns,
        )
