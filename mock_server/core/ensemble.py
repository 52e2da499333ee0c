"""A loaded ensemble: each request runs through its steps."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import grpc

from mock_server.core.loaded_model import Loaded
from mock_server.core.statistics import Answered, ExecutionTimes, StatisticsCounter
from mock_server.core.validation import check_request
from mock_server.errors import ModelError
from mock_server.model.declaration import Ensemble, Model, Step
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import (
    FailureReason,
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    Respond,
)

Find = Callable[[str, str], Loaded]
"""Finds a model of the server by name and version; raises `ModelError`."""


class LoadedEnsemble:
    """A `Loaded` ensemble: it has no queue and no instances of its own.

    Parameters
    ----------
    model : Model
        Its function is an `Ensemble`.
    find : callable
        Finds the models of its steps when they are about to run.
    """

    def __init__(self, model: Model, find: Find) -> None:
        if not isinstance(model.function, Ensemble):
            raise TypeError(f"model {model.name!r} is not an ensemble")
        self.model = model
        self.ensemble = model.function
        self.statistics = StatisticsCounter()
        self.load_s = 0.0
        self._find = find
        self._is_stopped = False
        limit = self.ensemble.max_inflight_requests
        self.limits = [StepLimit(limit) for _ in self.ensemble.steps]

    @property
    def pending(self) -> int:
        """0: requests wait at the steps."""
        return 0

    def model_of(self, name: str, version: str) -> Loaded:
        """Return the model of a step.

        Raises
        ------
        ModelError
            UNAVAILABLE if the server stops; as `Repository.find` does.
        """
        if self._is_stopped:
            raise ModelError(grpc.StatusCode.UNAVAILABLE, "Server is stopping")
        return self._find(name, version)

    def submit(self, request: InferenceRequest, respond: Respond) -> None:
        """Start the first steps: see `Loaded`."""
        batch_size = check_request(self.model, request)
        self._is_stopped = False
        _Run(self, request, respond, batch_size).start()

    def submit_and_wait(self, request: InferenceRequest, respond: Respond) -> None:
        """Do the same as `submit`: the steps run in their models' threads."""
        self.submit(request, respond)

    def drop_cancelled(self) -> None:
        """Do it at the steps: see `Loaded`."""
        for step in self.ensemble.steps:
            version = "" if step.model_version < 0 else str(step.model_version)
            with suppress(ModelError):  # it was unloaded
                self._find(step.model_name, version).drop_cancelled()

    def stop(self, timeout_s: float | None = None) -> None:
        """Refuse what waits for a step; the threads are those of the steps."""
        self._is_stopped = True
        for limit in self.limits:
            limit.drain()

    def close(self) -> None:
        """Do nothing: there are no instances, and running requests finish."""


class StepLimit:
    """How many requests a step runs at once (``StepInflightRequestLimiter`` of core).

    Triton blocks the thread that brings one more; here it waits in a queue.

    Parameters
    ----------
    max_running : int
        0 for no limit.
    """

    def __init__(self, max_running: int) -> None:
        self._max_running = max_running
        self._lock = threading.Lock()
        self._n_running = 0
        self._waiting: deque[Callable[[], object]] = deque()

    def run(self, start: Callable[[], object]) -> None:
        """Call `start`, now or once there is room; it ends with a call of `release`."""
        with self._lock:
            if 0 < self._max_running <= self._n_running:
                self._waiting.append(start)
                return
            self._n_running += 1
        start()

    def release(self) -> None:
        """Make room for the next request, and start it.

        In a thread of its own: this one may hold the lock of another request.
        """
        with self._lock:
            if not self._waiting:
                self._n_running -= 1
                return
            start = self._waiting.popleft()
        threading.Thread(target=start, name="mock-server-step", daemon=True).start()

    def drain(self) -> None:
        """Start all that wait, whatever the limit: to be refused."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            self._n_running += len(waiting)
        for start in waiting:
            start()


@dataclass(slots=True)
class _Flow:
    """The tensors known so far: of a request, or of one response of a decoupled step.

    Each response of a decoupled step forks a flow, with the tensors known by then; it
    does not wait for other steps that still run.
    """

    tensors: dict[str, RawTensor]
    waiting: set[int]  #: steps not started
    done: set[str] = field(default_factory=set)  #: outputs of the steps that have run
    n_running: int = 0


class _Run:
    """One request, while it runs through the steps."""

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
            self._n_open += 1  # until all first steps have been started
            self._advance(flow)
            self._close_one()

    def _advance(self, flow: _Flow) -> None:
        """Start every step that can run; answer if there is none, and none runs."""
        steps = self._loaded.ensemble.steps
        ready = [
            number
            for number in sorted(flow.waiting)
            if flow.tensors.keys() >= set(steps[number].input_map.values())
        ]
        flow.waiting -= set(ready)
        flow.n_running += len(ready)
        for number in ready:
            self._n_open += 1
            limit = self._loaded.limits[number]
            limit.run(partial(self._launch, flow, steps[number], limit))
        if not flow.n_running and not self._failed:
            self._finish(flow)

    def _launch(self, flow: _Flow, step: Step, limit: StepLimit) -> None:
        version = "" if step.model_version < 0 else str(step.model_version)
        is_decoupled = False

        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            with self._lock:
                self._take(flow, step, response, is_decoupled=is_decoupled)
                if is_final:
                    self._close_one()
            if is_final:
                limit.release()

        try:
            loaded = self._loaded.model_of(step.model_name, version)
            is_decoupled = loaded.model.is_decoupled
            request = replace(
                self._request,
                model_name=step.model_name,
                model_version=version,
                inputs=tuple(
                    flow.tensors[name]._replace(name=own)
                    for own, name in step.input_map.items()
                ),
                outputs=tuple(RequestedOutput(own) for own in step.output_map),
                enable_empty_final_response=False,
            )
            loaded.submit(request, respond)
        except ModelError as error:
            with self._lock:
                flow.n_running -= 1
                self._fail(error)
                self._close_one()
            limit.release()

    def _take(
        self,
        flow: _Flow,
        step: Step,
        response: InferenceResponse | None,
        *,
        is_decoupled: bool,
    ) -> None:
        """Continue with the response of a step."""
        if response is None or self._failed:
            return
        if response.error is not None:
            self._fail(response.error)
            return
        if is_decoupled:
            flow = _Flow(dict(flow.tensors), set(flow.waiting), set(flow.done))
        else:
            flow.n_running -= 1
        for tensor in response.outputs:
            name = step.output_map[tensor.name]
            flow.tensors[name] = tensor._replace(name=name)
        flow.done |= set(step.output_map.values())
        self._advance(flow)

    def _finish(self, flow: _Flow) -> None:
        """Answer with the outputs of a flow that no step can continue."""
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
        self._answer(outputs, is_final=not self._model.is_decoupled)

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
        outputs: Sequence[RawTensor] = (),
        *,
        error: ModelError | None = None,
        is_final: bool,
    ) -> None:
        response = self._model.response_to(self._request, outputs, error=error)
        self._respond(response, is_final)

    def _count(self) -> None:
        """Count the request; the time of its steps is the compute time."""
        total_ns = time.perf_counter_ns() - self._started_ns
        self._loaded.statistics.executed(
            [Answered(batch_size=self._batch_size, queue_ns=1, total_ns=total_ns)],
            self._batch_size,
            ExecutionTimes(input_ns=1, infer_ns=max(1, total_ns - 3), output_ns=1),
        )
