"""A plain Python function as an instance of a model."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mock_server.errors import ModelError
from mock_server.model.declaration import AnyArray, Execution, Model
from mock_server.wire.codec import RawTensor, datatype_of, decode, encode
from mock_server.wire.inference import InferenceRequest

Arrays = dict[str, AnyArray]


class FunctionInstance:
    """Calls the model's function for each batch, its requests joined into one.

    A function that takes a second argument gets the `InferenceRequest` as well, and is
    called once per request. A decoupled model's function is a generator: each mapping
    that it yields is a response, and so is each `ModelError`.
    """

    # Any: the user's function may return anything; the result is checked.
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
                self._answer_one(execution)
        else:
            self._answer_joined(batch)

    def finalize(self) -> None:
        """Do nothing: the function is the user's."""

    def _call(self, request: InferenceRequest, arrays: Arrays) -> Any:
        if self._wants_request:
            return self._function(arrays, request)
        return self._function(arrays)

    def _answer_one(self, execution: Execution) -> None:
        request = execution.request
        try:
            answer = self._call(request, input_arrays(request))
        except ModelError as error:
            self._refuse(execution, error, is_final=True)
        else:
            self._respond(execution, named_outputs(answer), is_final=True)

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
                    self._refuse(execution, answer, is_final=False)
                else:
                    self._respond(execution, named_outputs(answer), is_final=False)
        except ModelError as error:
            self._refuse(execution, error, is_final=False)
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
                self._refuse(execution, error, is_final=True)
            return
        for execution, part in zip(batch, split_rows(answer, rows), strict=True):
            self._respond(execution, part, is_final=True)

    def _refuse(
        self, execution: Execution, error: ModelError, *, is_final: bool
    ) -> None:
        response = self._model.response_to(execution.request, error=error)
        execution.respond(response, is_final)

    def _respond(self, execution: Execution, answer: Arrays, *, is_final: bool) -> None:
        outputs = []
        for name, array in answer.items():
            if name not in self._datatypes:
                continue
            datatype = datatype_of(array)
            if datatype == "FP32" and self._datatypes[name] == "BF16":
                datatype = "BF16"
            data = encode(array, datatype)
            outputs.append(RawTensor(name, datatype, array.shape, data))
        response = self._model.response_to(execution.request, outputs)
        execution.respond(response, is_final)


def takes_request(function: Callable[..., Any]) -> bool:
    """Return whether a model function has a second argument without a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a built-in function without a signature
        return False
    positional = [
        p
        for p in parameters
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
        and p.default is p.empty
    ]
    return len(positional) == 2


def input_arrays(request: InferenceRequest) -> Arrays:
    """Return the inputs of a checked request by name, as arrays that may be changed."""
    return {t.name: decode(t.data, t.datatype, t.shape) for t in request.inputs}


# object: the user's function may return anything.
def named_outputs(answer: object) -> Arrays:
    """Return the outputs of a model function as arrays.

    Raises
    ------
    TypeError
        If `answer` is not a mapping.
    """
    if not isinstance(answer, Mapping):
        raise TypeError(
            f"expected a mapping of output names to arrays, found {type(answer)}"
        )
    return {name: np.asarray(value) for name, value in answer.items()}


def split_rows(outputs: Mapping[str, AnyArray], rows: Sequence[int]) -> list[Arrays]:
    """Cut the outputs of a joined batch into those of each request: views of them.

    Raises
    ------
    ValueError
        If an output does not have as many rows as the inputs had.
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
