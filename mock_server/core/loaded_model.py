"""One loaded model: its instances, its queue, and its counters."""

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from mock_server.core.execution import run_batch
from mock_server.core.statistics import StatisticsCounter
from mock_server.core.validation import check_request
from mock_server.model.config.declaration import config_of, instance_names
from mock_server.model.declaration import Model
from mock_server.model.ensemble_steps import Ensemble
from mock_server.model.functions import FunctionInstance
from mock_server.model.instances import Backend, Instance
from mock_server.scheduling.batching import DynamicBatcher, OneByOne
from mock_server.scheduling.pending import Dropped, PendingRequest
from mock_server.scheduling.sequences import SequenceBatcher
from mock_server.scheduling.workers import Scheduler, Workers
from mock_server.wire.inference import InferenceRequest, InferenceResponse, Respond


class LoadedModel:
    """A model that answers requests; its methods may be called from any thread.

    Parameters
    ----------
    model : Model
        Its instances are started here, which may take long, and may fail.
    statistics : StatisticsCounter, optional
        Counters to go on with, of the same model when it was loaded before.
    clock : callable, optional
        Monotonic time in nanoseconds, for queue delays and timeouts.

    Raises
    ------
    BaseException
        Whatever the backend raises when it starts an instance.
    """

    def __init__(
        self,
        model: Model,
        statistics: StatisticsCounter | None = None,
        *,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.model = model
        self.statistics = statistics or StatisticsCounter()
        self._clock = clock
        # What keeps state by thread, or is to be joined, keeps to its own thread.
        self._runs_in_any_thread = not (
            isinstance(model.function, Backend)
            or model.dynamic_batching
            or model.sequence_batching
        )
        self._names = instance_names(config_of(model))
        self._instances = [_start(model, name) for name in self._names]
        self._workers = Workers(
            model.name,
            model.instances,
            _scheduler(model),
            run=self._run,
            drop=self._drop,
            clock=clock,
        )

    @property
    def pending(self) -> int:
        """Requests that wait for an instance."""
        return self._workers.pending

    def submit(self, request: InferenceRequest, respond: Respond) -> None:
        """Check a request and queue it; its answers come from a thread of the model.

        Raises
        ------
        ModelError
            If the request is wrong, or the queue refuses it: it is not answered then.
        """
        batch_size = check_request(self.model, request)
        self._workers.submit(
            PendingRequest(request, respond, batch_size, self._clock())
        )

    def submit_and_wait(self, request: InferenceRequest, respond: Respond) -> None:
        """As `submit`, for a caller that waits for the answer: it may run the model.

        Raises
        ------
        ModelError
            As `submit` does.
        """
        batch_size = check_request(self.model, request)
        pending = PendingRequest(request, respond, batch_size, self._clock())
        if self._runs_in_any_thread:
            self._workers.run_here(pending)
        else:
            self._workers.submit(pending)

    def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer of a model that is not decoupled; waits for it.

        Raises
        ------
        ModelError
            As `submit` does; an error of the model is in the response.
        """
        answers: SimpleQueue[InferenceResponse] = SimpleQueue()

        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            if response is not None:
                answers.put(response)

        self.submit(request, respond)
        return answers.get()

    def stop(self) -> None:
        """Answer what is waiting, and end the threads; a request starts them again."""
        self._workers.stop()

    def close(self) -> None:
        """Stop for good, and let the instances go."""
        self.stop()
        for instance in self._instances:
            instance.finalize()

    def _run(self, number: int, batch: Sequence[PendingRequest]) -> None:
        run_batch(
            self.model,
            self._instances[number],
            self._names[number],
            batch,
            self.statistics,
        )

    def _drop(self, dropped: Dropped) -> None:
        pending = dropped.pending
        waited_ns = self._clock() - pending.arrived_ns
        self.statistics.dropped(dropped.reason, waited_ns)
        response = InferenceResponse(
            model_name=self.model.name,
            model_version=self.model.version,
            id=pending.request.id,
            error=dropped.error,
        )
        pending.respond(response, True)


def _start(model: Model, name: str) -> Instance:
    if isinstance(model.function, Backend):
        return model.function.start(model, name, 0)
    if isinstance(model.function, Ensemble):
        raise TypeError(f"model {model.name!r} is an ensemble: it has no instances")
    return FunctionInstance(model, model.function)


def _scheduler(model: Model) -> Scheduler:
    if model.sequence_batching is not None:
        return SequenceBatcher(
            model.name,
            model.sequence_batching,
            max_batch_size=model.max_batch_size,
            instances=model.instances,
        )
    if model.dynamic_batching is not None and model.max_batch_size > 0:
        return DynamicBatcher(model.dynamic_batching, model.max_batch_size)
    return OneByOne()
