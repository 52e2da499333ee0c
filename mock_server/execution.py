"""One loaded model: its instances, its counters, and what its failures look like."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import grpc
import numpy as np

from mock_server.codec import RawTensor, datatype_of, decode, encode
from mock_server.errors import ModelError
from mock_server.models import Model
from mock_server.statistics import ExecutionTimes, StatisticsCounter


class LoadedModel:
    """A model that answers requests, `instances` of them at once.

    Methods may be called from any thread; `infer` blocks while all instances are busy.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.statistics = StatisticsCounter()
        self._free_instances: SimpleQueue[int] = SimpleQueue()
        for instance in range(model.instances):
            self._free_instances.put(instance)

    def infer(
        self,
        inputs: Sequence[RawTensor],
        *,
        batch_size: int,
        requested: Collection[str],
        is_awaited: Callable[[], bool],
    ) -> list[RawTensor]:
        """Run the model; its outputs come in the order in which they were returned.

        Parameters
        ----------
        inputs : sequence of RawTensor
            Checked already.
        batch_size : int
            What the counters call this request.
        requested : collection of str
            Outputs the client asked for; none means all.
        is_awaited : callable
            Asked once an instance is free: a request that nobody waits for any more is
            not run.

        Raises
        ------
        ModelError
            The model's own; INTERNAL with Triton's text if its function raised anything
            else; CANCELLED if the client left in time.
        """
        laps = _Laps()
        instance = self._free_instances.get()
        try:
            laps.end()
            if not is_awaited():
                self.statistics.abandoned(laps.times().total_ns)
                raise ModelError(grpc.StatusCode.CANCELLED, "Request cancelled")
            with self._accounted(laps, instance, batch_size):
                arrays = {t.name: decode(t.data, t.datatype, t.shape) for t in inputs}
                laps.end()
                answer = self.model.function(arrays)
                laps.end()
                return _raw_outputs(self.model, answer, requested)
        finally:
            self._free_instances.put(instance)

    @contextmanager
    def _accounted(
        self, laps: "_Laps", instance: int, batch_size: int
    ) -> Iterator[None]:
        try:
            yield
        except ModelError:
            self.statistics.answered(batch_size, laps.times())
            raise
        except BaseException as exc:
            # SystemExit too: in a worker thread it would end nothing, and the client
            # would wait for ever.
            self.statistics.crashed(laps.times().total_ns)
            raise ModelError(
                grpc.StatusCode.INTERNAL,
                "Failed to process the request(s) for model "
                f"'{self.model.name}_0_{instance}', message: {_as_triton_prints(exc)}",
            ) from exc
        else:
            self.statistics.answered(batch_size, laps.times())


class _Laps:
    """Moments of one request: it arrived, found an instance, was read, was run."""

    def __init__(self) -> None:
        self._moments_ns = [time.perf_counter_ns()]

    def end(self) -> None:
        self._moments_ns.append(time.perf_counter_ns())

    def times(self) -> ExecutionTimes:
        done = time.perf_counter_ns()
        # What was not reached took no time: an error ends the lap it came up in.
        arrived, started, read, ran = (self._moments_ns + 3 * [done])[:4]
        return ExecutionTimes(
            total_ns=done - arrived,
            queue_ns=started - arrived,
            input_ns=read - started,
            infer_ns=ran - read,
            output_ns=done - ran,
        )


def _raw_outputs(
    model: Model, answer: Any, requested: Collection[str]
) -> list[RawTensor]:
    # Any: the function is the user's, and its answer is looked at here first.
    if not isinstance(answer, Mapping):
        raise TypeError(
            f"expected a mapping of output names to arrays, found {type(answer)}"
        )
    declared = {spec.name: spec.datatype for spec in model.outputs}
    outputs = []
    for name, value in answer.items():
        if name not in declared or (requested and name not in requested):
            continue
        array = np.asarray(value)
        datatype = datatype_of(array)
        if declared[name] == "BF16" and datatype == "FP32":
            datatype = "BF16"
        outputs.append(RawTensor(name, datatype, array.shape, encode(array, datatype)))
    return outputs


def _as_triton_prints(exc: BaseException) -> str:
    """Type, text and frames, innermost first: pybind11's form of a Python error."""
    text = f"{type(exc).__name__}: {exc}"
    frames = list(_user_frames(exc.__traceback__))
    if not frames:
        return text
    return "\n".join([text, "", "At:", *reversed(frames), ""])


def _user_frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != __file__:
            yield f"  {code.co_filename}({trace.tb_lineno}): {code.co_name}"
        trace = trace.tb_next
