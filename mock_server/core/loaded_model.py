"""One loaded model: its instances, its queue, and its counters."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from mock_server.core.execution import run_batch
from mock_server.core.statistics import StatisticsCounter
from mock_server.core.validation import check_request
from mock_server.model.config import config_of
from mock_server.model.config_message import instance_names
from mock_server.model.declaration import Backend, Ensemble, Instance, Model
from mock_server.model.functions import FunctionInstance
from mock_server.scheduling.batching import DynamicBatcher, OneByOne
from mock_server.scheduling.queue import Dropped, PendingRequest
from mock_server.scheduling.sequences import SequenceBatcher
from mock_server.scheduling.workers import Scheduler, Workers
from mock_server.wire.inference import InferenceRequest, Respond


class Loaded(Protocol):
    """A model that answers requests, an ensemble or not; used from any thread."""

    model: Model
    statistics: StatisticsCounter
    load_s: float
    """How long it took to load, in seconds."""

    @property
    def pending(self) -> int:
        """The number of requests that wait for an instance."""

    def submit(self, request: InferenceRequest, respond: Respond) -> None:
        """Check a request and queue it; its answers come from another thread.

        Raises
        ------
        ModelError
            If the request is wrong, or the queue refuses it: it is not answered then.
        """

    def submit_and_wait(self, request: InferenceRequest, respond: Respond) -> None:
        """Do the same for a caller that waits for the answer: it may run the model."""

    def drop_cancelled(self) -> None:
        """Keep nothing of the waiting requests whose clients have left."""

    def stop(self, timeout_s: float | None = None) -> None:
        """Answer what is waiting, and end the threads; a request starts them again.

        A thread that still runs after `timeout_s` is left behind.
        """

    def close(self) -> None:
        """Stop for good."""


class LoadedModel:
    """A `Loaded` model with instances of its own.

    Parameters
    ----------
    model : Model
        Its instances are started here, which may take long, and may fail.
    clock : callable, optional
        Monotonic time in nanoseconds, for queue delays and timeouts.

    Raises
    ------
    BaseException
        Whatever the backend raises when it starts an instance.
    """

    def __init__(
        self, model: Model, *, clock: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.model = model
        self.statistics = StatisticsCounter()
        self.load_s = 0.0
        self._clock = clock
        # A backend may keep state by thread, and a request to be joined must be
        # queued: both keep to the model's own threads.
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
        """The number of requests that wait for an instance."""
        return self._workers.pending

    def submit(self, request: InferenceRequest, respond: Respond) -> None:
        """Queue a request: see `Loaded`."""
        self._workers.submit(self._checked(request, respond))

    def submit_and_wait(self, request: InferenceRequest, respond: Respond) -> None:
        """Queue a request, or run the model in this thread: see `Loaded`."""
        pending = self._checked(request, respond)
        if self._runs_in_any_thread:
            self._workers.run_here(pending)
        else:
            self._workers.submit(pending)

    def drop_cancelled(self) -> None:
        """Answer the waiting requests whose clients have left: see `Loaded`."""
        self._workers.drop_cancelled()

    def stop(self, timeout_s: float | None = None) -> None:
        """End the threads: see `Loaded`."""
        self._workers.stop(timeout_s)

    def close(self) -> None:
        """Stop for good, and release the instances."""
        self.stop()
        for instance in self._instances:
            instance.finalize()

    def _checked(self, request: InferenceRequest, respond: Respond) -> PendingRequest:
        batch_size = check_request(self.model, request)
        return PendingRequest(request, respond, batch_size, self._clock())

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
        response = self.model.response_to(pending.request, error=dropped.error)
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
