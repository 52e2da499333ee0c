"""A plain Python function as an instance of a model."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mock_server.errors import ModelError
from mock_server.model.declaration import Model
from mock_server.model.instances import Execution
from mock_server.wire.codec import RawTensor, datatype_of, decode, encode
from mock_server.wire.inference import InferenceRequest, InferenceResponse

Arrays = dict[str, NDArray[Any]]


class FunctionInstance:
    """Calls the model's function for each batch, its requests joined into one.

    A function that takes a second argument gets the `InferenceRequest` as well, and is
    called once a request. That of a decoupled model is a generator: each mapping it
    yields is a response, and so is each `ModelError`.
    """

    # Any: what a function takes beside the arrays, and what it returns, is looked at.
    def __init__(self, model: Model, function: Callable[..., Any]) -> None:
        self._model = model
        self._function = function
        self._datatypes = {spec.name: spec.datatype for spec in model.outputs}
        self._wants_request = takes_request(function)

    def execute(self, batch: Sequence[Execution]) -> None:
        """Answer all requests of a batch.

        Raises
        ------
        BaseException
            Whatever the function raises, other than `ModelError`.
        """
        if self._model.is_decoupled:
            for execution in batch:
                self._stream(execution)
        elif len(batch) == 1 or self._wants_request:
            for execution in batch:
                self._answer(execution)
        else:
            self._answer_joined(batch)

    def finalize(self) -> None:
        """Nothing to let go of: the function is not ours."""

    def _call(self, request: InferenceRequest, arrays: Arrays) -> Any:
        if self._wants_request:
            return self._function(arrays, request)
        return self._function(arrays)

    def _answer(self, execution: Execution) -> None:
        request = execution.request
        try:
            answer = self._call(request, input_arrays(request))
        except ModelError as error:
            execution.respond(self._response(request, error=error), True)
        else:
            outputs = self._outputs(named_outputs(answer))
            execution.respond(self._response(request, outputs), True)

    def _stream(self, execution: Execution) -> None:
        request = execution.request
        answers = self._call(request, input_arrays(request))
        if not isinstance(answers, Iterable) or isinstance(answers, Mapping):
            raise TypeError(
                "expected a generator of mappings of output names to arrays, found "
                f"{type(answers)}"
            )
        try:
            for answer in answers:
                if isinstance(answer, ModelError):
                    execution.respond(self._response(request, error=answer), False)
                else:
                    outputs = self._outputs(named_outputs(answer))
                    execution.respond(self._response(request, outputs), False)
        except ModelError as error:
            execution.respond(self._response(request, error=error), False)
        execution.respond(None, True)

    def _answer_joined(self, batch: Sequence[Execution]) -> None:
        arrays = [input_arrays(execution.request) for execution in batch]
        rows = [len(next(iter(each.values()))) for each in arrays]
        joined = {
            name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]
        }
        try:
            answer = named_outputs(self._call(batch[0].request, joined))
        except ModelError as error:
            for execution in batch:
                execution.respond(self._response(execution.request, error=error), True)
            return
        parts = split_rows(answer, rows)
        for execution, part in zip(batch, parts, strict=True):
            response = self._response(execution.request, self._outputs(part))
            execution.respond(response, True)

    def _response(
        self,
        request: InferenceRequest,
        outputs: Sequence[RawTensor] = (),
        error: ModelError | None = None,
    ) -> InferenceResponse:
        return InferenceResponse(
            model_name=self._model.name,
            model_version=self._model.version,
            id=request.id,
            outputs=tuple(outputs),
            error=error,
        )

    def _outputs(self, answer: Mapping[str, NDArray[Any]]) -> list[RawTensor]:
        outputs = []
        for name, array in answer.items():
            if name not in self._datatypes:
                continue
            datatype = datatype_of(array)
            if datatype == "FP32" and self._datatypes[name] == "BF16":
                datatype = "BF16"
            data = encode(array, datatype)
            outputs.append(RawTensor(name, datatype, array.shape, data))
        return outputs


def takes_request(function: Callable[..., Any]) -> bool:
    """Whether a model function has a second argument without a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in callables do not say
        return False
    positional = {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    }
    return (
        len([p for p in parameters if p.kind in positional and p.default is p.empty])
        == 2
    )


def input_arrays(request: InferenceRequest) -> Arrays:
    """Inputs of a checked request by name, as arrays that may be written to."""
    return {t.name: decode(t.data, t.datatype, t.shape) for t in request.inputs}


def named_outputs(answer: Any) -> Arrays:
    """What a function returned, as arrays by output name.

    Raises
    ------
    TypeError
        If it is no mapping.
    """
    if not isinstance(answer, Mapping):
        raise TypeError(
            f"expected a mapping of output names to arrays, found {type(answer)}"
        )
    return {name: np.asarray(value) for name, value in answer.items()}


def split_rows(
    outputs: Mapping[str, NDArray[Any]], rows: Sequence[int]
) -> list[Arrays]:
    """Outputs of a joined batch, cut into those of each request: views of them.

    Raises
    ------
    ValueError
        If an output has not as many rows as the inputs had.
    """
    for name, array in outputs.items():
        found = array.shape[0] if array.ndim else 0
        if found != sum(rows):
            raise ValueError(
                f"output {name!r} of a joined batch: expected {sum(rows)} rows, as the "
                f"inputs have, got {found}"
            )
    starts = np.cumsum([0, *rows]).tolist()
    return [
        {name: array[start : start + n] for name, array in outputs.items()}
        for start, n in zip(starts[:-1], rows, strict=True)
    ]
