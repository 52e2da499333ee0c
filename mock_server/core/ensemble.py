"""An ensemble at work: each request is a run through its steps."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

import grpc

from mock_server.core.loaded import Loaded
from mock_server.core.statistics import Answered, ExecutionTimes, StatisticsCounter
from mock_server.core.validation import check_request
from mock_server.errors import ModelError
from mock_server.model.declaration import Model
from mock_server.model.ensemble_steps import Ensemble, Step
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import (
    FailureReason,
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    Respond,
)

Find = Callable[[str, str], Loaded]
"""Model of the server, by name and version; raises `ModelError`."""


class LoadedEnsemble:
    """An ensemble that answers requests; its methods may be called from any thread.

    It has no queue and no instances of its own: any number of requests run at once.

    Parameters
    ----------
    model : Model
        Its function is an `Ensemble`.
    find : callable
        Finds the models of its steps, when they are to run.
    """

    def __init__(self, model: Model, find: Find) -> None:
        if not isinstance(model.function, Ensemble):
            raise TypeError(f"model {model.name!r} is no ensemble")
        self.model = model
        self.ensemble = model.function
        self.statistics = StatisticsCounter()
        self.find = find

    @property
    def pending(self) -> int:
        """None: they wait at the steps."""
        return 0

    def submit(self, request: InferenceRequest, respond: Respond) -> None:
        """Check a request and start its steps; answers come from their threads.

        Raises
        ------
        ModelError
            If the request is wrong: it is not answered then.
        """
        batch_size = check_request(self.model, request)
        _Run(self, request, respond, batch_size).start()

    def submit_and_wait(self, request: InferenceRequest, respond: Respond) -> None:
        """As `submit`: the steps run in threads of theirs."""
        self.submit(request, respond)

    def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer of an ensemble that is not decoupled; waits for it.

        Raises
        ------
        ModelError
            As `submit` does; an error of a step is in the response.
        """
        answers: SimpleQueue[InferenceResponse] = SimpleQueue()

        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            if response is not None:
                answers.put(response)

        self.submit(request, respond)
        return answers.get()

    def stop(self) -> None:
        """Nothing to end: the threads are those of the steps."""

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(slots=True)
class _Flow:
    """Tensors on their way: one of a request, or of each response of a decoupled step.

    A flow that a decoupled step forks off knows what was there by then; a step beside
    it, still running, is not waited for.
    """

    tensors: dict[str, RawTensor]
    waiting: set[int]  #: steps not started
    done: set[str] = field(default_factory=set)  #: tensors that steps had their turn at
    n_running: int = 0


class _Run:
    """One request on its way through the steps."""

    def __init__(
        self,
        loaded: LoadedEnsemble,
        request: InferenceRequest,
        respond: Respond,
        batch_size: int,
    ) -> None:
        self._loaded, self._model = loaded, loaded.model
        self._request, self._respond = request, respond
        self._batch_size = batch_size
        self._lock = threading.RLock()
        self._n_open = 0  # steps running, in all flows
        self._failed = False
        outputs = [spec.name for spec in self._model.outputs]
        wanted = [output.name for output in request.outputs]
        self._wanted = set(wanted) or set(outputs)
        self._needed = set(loaded.ensemble.needed_steps(outputs, wanted))
        self._started_ns = time.perf_counter_ns()

    def start(self) -> None:
        flow = _Flow({t.name: t for t in self._request.inputs}, set(self._needed))
        with self._lock:
            self._n_open += 1  # until all first steps are under way
            self._advance(flow)
            self._close_one()

    def _advance(self, flow: _Flow) -> None:
        """Start every step that can run; answer if there is none, and none runs."""
        ready = [
            number
            for number in sorted(flow.waiting)
            if flow.tensors.keys()
            >= set(self._loaded.ensemble.steps[number].input_map.values())
        ]
        flow.waiting -= set(ready)
        flow.n_running += len(ready)
        for number in ready:
            self._launch(flow, self._loaded.ensemble.steps[number])
        if not flow.n_running and not self._failed:
            self._finish(flow)

    def _launch(self, flow: _Flow, step: Step) -> None:
        self._n_open += 1
        is_decoupled = False

        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            with self._lock:
                self._take(flow, step, response, is_final, is_decoupled)

        try:
            loaded = self._loaded.find(step.model_name, _version_text(step))
            is_decoupled = loaded.model.is_decoupled
            loaded.submit(self._step_request(flow, step), respond)
        except ModelError as error:
            flow.n_running -= 1
            self._fail(error)
            self._close_one()

    def _step_request(self, flow: _Flow, step: Step) -> InferenceRequest:
        return replace(
            self._request,
            model_name=step.model_name,
            model_version=_version_text(step),
            inputs=tuple(
                flow.tensors[name]._replace(name=own)
                for own, name in step.input_map.items()
            ),
            outputs=tuple(RequestedOutput(own) for own in step.output_map),
            enable_empty_final_response=False,
        )

    def _take(
        self,
        flow: _Flow,
        step: Step,
        response: InferenceResponse | None,
        is_final: bool,
        is_decoupled: bool,
    ) -> None:
        """Go on with what a step has answered."""
        if response is not None and response.error is not None:
            self._fail(response.error)
        elif response is not None and not self._failed:
            onward = flow
            if is_decoupled:
                onward = _Flow(dict(flow.tensors), set(flow.waiting), set(flow.done))
            else:
                flow.n_running -= 1
            for tensor in response.outputs:
                name = step.output_map[tensor.name]
                onward.tensors[name] = tensor._replace(name=name)
            onward.done |= set(step.output_map.values())
            self._advance(onward)
        if is_final:
            self._close_one()

    def _finish(self, flow: _Flow) -> None:
        """Answer with the outputs of a flow that has come to its end."""
        if not self._wanted <= flow.done | flow.tensors.keys():
            request_id = self._request.id or "<id_unknown>"
            self._fail(
                ModelError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"[request id: {request_id}] unexpected deadlock, at least one "
                    "output is not set while no more ensemble steps can be made",
                )
            )
            return
        outputs = [
            flow.tensors[spec.name]
            for spec in self._model.outputs
            if spec.name in self._wanted and spec.name in flow.tensors
        ]
        if not self._model.is_decoupled:
            self._count()
        self._answer(outputs=outputs, is_final=not self._model.is_decoupled)

    def _fail(self, error: ModelError) -> None:
        if self._failed:
            return
        self._failed = True
        total_ns = time.perf_counter_ns() - self._started_ns
        for _ in range(2):  # as Triton does: for the response, and for the request
            self._loaded.statistics.dropped(FailureReason.OTHER, total_ns)
        text = f"in ensemble '{self._model.name}', {error.message}"
        self._answer(error=ModelError(error.code, text), is_final=True)

    def _close_one(self) -> None:
        self._n_open -= 1
        if self._n_open == 0 and self._model.is_decoupled and not self._failed:
            self._count()
            self._respond(None, True)

    def _answer(
        self,
        *,
        outputs: Sequence[RawTensor] = (),
        error: ModelError | None = None,
        is_final: bool,
    ) -> None:
        response = InferenceResponse(
            model_name=self._model.name,
            model_version=self._model.version,
            id=self._request.id,
            outputs=tuple(outputs),
            error=error,
        )
        self._respond(response, is_final)

    def _count(self) -> None:
        """Count the request; what the steps took is the time of the model here."""
        total_ns = time.perf_counter_ns() - self._started_ns
        self._loaded.statistics.executed(
            [Answered(batch_size=self._batch_size, queue_ns=1, total_ns=total_ns)],
            self._batch_size,
            ExecutionTimes(input_ns=1, infer_ns=max(1, total_ns - 3), output_ns=1),
        )


def _version_text(step: Step) -> str:
    return "" if step.model_version < 0 else str(step.model_version)
