"""Requests, responses and errors as a ``model.py`` gets and makes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import grpc

from mock_server.errors import ModelError
from mock_server.model.declaration import Execution, Model
from mock_server.model.python_backend.tensors import Tensor
from mock_server.wire import inference
from mock_server.wire.inference import ParameterValue, RequestedOutput

TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1


class TritonModelException(Exception):
    """Raised in a model that uses this interface wrongly; the name is Triton's."""


class TritonError:
    """An error to answer with, by one of Triton's codes."""

    UNKNOWN = grpc.StatusCode.UNKNOWN
    INTERNAL = grpc.StatusCode.INTERNAL
    NOT_FOUND = grpc.StatusCode.NOT_FOUND
    INVALID_ARG = grpc.StatusCode.INVALID_ARGUMENT
    UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
    UNSUPPORTED = grpc.StatusCode.UNIMPLEMENTED
    ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS
    CANCELLED = grpc.StatusCode.CANCELLED

    def __init__(
        self, message: str, code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    ) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> grpc.StatusCode:
        return self._code


class InferenceResponse:
    """Outputs, or an error, which outweighs them."""

    def __init__(
        self,
        output_tensors: Sequence[Tensor] = (),
        error: TritonError | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> None:
        self._outputs = list(output_tensors)
        self._error = error
        self._parameters = dict(parameters or {})

    @classmethod
    def of(cls, response: inference.InferenceResponse) -> InferenceResponse:
        """Return the response of another model, as the model that asked gets it."""
        error = response.error
        return cls(
            [Tensor.of(raw) for raw in response.outputs],
            None if error is None else TritonError(error.message, error.code),
            response.parameters,
        )

    def output_tensors(self) -> list[Tensor]:
        """Return the outputs, in the order in which they are sent."""
        return self._outputs

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error

    def parameters(self) -> str:
        return json.dumps(self._parameters)

    def as_answer(
        self, model: Model, request: inference.InferenceRequest
    ) -> inference.InferenceResponse:
        """Return the same as the server's core knows it."""
        if self._error is not None:
            error = ModelError(self._error.code(), self._error.message())
            response = model.response_to(request, error=error)
        else:
            response = model.response_to(
                request, [each.raw() for each in self._outputs]
            )
        return replace(response, parameters=self._parameters)


class ResponseSender:
    """Sends responses, at any time and from any thread, until one is final."""

    def __init__(self, model: Model, execution: Execution) -> None:
        self._model, self._execution = model, execution
        self._is_closed = False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        """Send a response, or the end, or both.

        Raises
        ------
        TritonModelException
            After the end, or without either.
        """
        if self._is_closed:
            raise TritonModelException(
                "Unable to send response. Response sender has been closed."
            )
        is_final = flags == TRITONSERVER_RESPONSE_COMPLETE_FINAL
        if response is None and not is_final:
            raise TritonModelException(
                "Inference Response object must be provided when the response flags is "
                "set to zero."
            )
        self._is_closed = is_final
        answer = None
        if response is not None:
            answer = response.as_answer(self._model, self._execution.request)
        self._execution.respond(answer, is_final)

    def is_cancelled(self) -> bool:
        """Return whether nobody waits for the answer any more."""
        return self._execution.request.cancellation.is_cancelled


AskModel = Callable[[inference.InferenceRequest], Iterator[InferenceResponse]]
"""Asks another model of the same server; ends with its last response."""


class InferenceRequest:
    """A request that came from a client, or one for another model of this server."""

    _model: Model | None = None
    _execution: Execution | None = None
    _ask: AskModel | None = None
    """Set on the class that the models of one server get."""

    def __init__(  # noqa: PLR0917 - Triton's signature
        self,
        model_name: str,
        requested_output_names: Sequence[str],
        inputs: Sequence[Tensor],
        request_id: str = "",
        correlation_id: int | str = 0,
        model_version: int = -1,
        flags: int = 0,
        timeout: int = 0,
        parameters: Mapping[str, ParameterValue] | None = None,
        **_placement: object,  # preferred memory, trace: no choice here
    ) -> None:
        self._model_name = model_name
        self._outputs = list(requested_output_names)
        self._inputs = list(inputs)
        self._id, self._correlation_id = request_id, correlation_id
        self._version, self._flags, self._timeout = model_version, flags, timeout
        self._parameters = dict(parameters or {})

    @classmethod
    def of(cls, model: Model, execution: Execution) -> InferenceRequest:
        """Return the request of a client, as its model gets it."""
        asked = execution.request
        wanted = [output.name for output in asked.outputs]
        request = cls(
            model.name,
            wanted or [spec.name for spec in model.outputs],
            [Tensor.of(raw) for raw in asked.inputs],
            asked.id,
            asked.correlation_id,
            int(model.version),
            asked.sequence_start * TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
            | asked.sequence_end * TRITONSERVER_REQUEST_FLAG_SEQUENCE_END,
            asked.timeout_us,
            asked.parameters,
        )
        request._model, request._execution = model, execution
        return request

    def inputs(self) -> list[Tensor]:
        """Return the inputs in the order of the request, control inputs last."""
        return self._inputs

    def request_id(self) -> str:
        """Return the id, empty if there is none."""
        return self._id

    def correlation_id(self) -> int | str:
        """Return the id of its sequence; 0 if it belongs to none."""
        return self._correlation_id

    def flags(self) -> int:
        """Return START and END of a sequence."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        """Change START and END."""
        self._flags = flags

    def timeout(self) -> int:
        """Return the timeout in microseconds; 0 means none."""
        return self._timeout

    def parameters(self) -> str:
        return json.dumps(self._parameters)

    def requested_output_names(self) -> list[str]:
        """Return the requested outputs: all of the model's if the client named none."""
        return self._outputs

    def model_name(self) -> str:
        return self._model_name

    def is_cancelled(self) -> bool:
        """Return whether nobody waits for the answer any more."""
        execution = self._execution
        return execution is not None and execution.request.cancellation.is_cancelled

    def get_response_sender(self) -> ResponseSender:
        """Return the sender of the responses of a decoupled model.

        Raises
        ------
        TritonModelException
            If the model is not decoupled.
        """
        model, execution = self._model, self._execution
        if model is None or execution is None or not model.is_decoupled:
            raise TritonModelException(
                "'get_response_sender' function must be called only when the model is "
                "using the decoupled transaction policy."
            )
        return ResponseSender(model, execution)

    # Any: a response, or an iterator of them.
    def exec(self, decoupled: bool = False) -> Any:
        """Ask the other model; with `decoupled`, return an iterator of its responses.

        Raises
        ------
        TritonModelException
            If the model is not part of a server.
        """
        if self._ask is None:
            raise TritonModelException("this model is not part of a server")
        responses = self._responses(self._ask)
        return responses if decoupled else next(responses)

    async def async_exec(self, decoupled: bool = False) -> Any:
        """Do the same as `exec` without blocking the event loop."""
        return await asyncio.to_thread(self.exec, decoupled)

    def _responses(self, ask: AskModel) -> Iterator[InferenceResponse]:
        """Yield all responses; a request that is refused has one, an error."""
        try:
            yield from ask(self._for_other_model())
        except ModelError as error:
            text = error.message
            if error.code is grpc.StatusCode.NOT_FOUND:
                text = (
                    "Failed for execute the inference request. Model "
                    f"'{self._model_name}' is not ready."
                )
            prefix = f"Model {self._model_name} - Error when running inference: "
            yield InferenceResponse(error=TritonError(prefix + text))

    def _for_other_model(self) -> inference.InferenceRequest:
        return inference.InferenceRequest(
            model_name=self._model_name,
            model_version="" if self._version < 0 else str(self._version),
            id=self._id,
            inputs=tuple(each.raw() for each in self._inputs),
            outputs=tuple(RequestedOutput(name) for name in self._outputs),
            parameters=self._parameters,
            timeout_us=self._timeout,
            correlation_id=self._correlation_id,
            sequence_start=bool(self._flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_START),
            sequence_end=bool(self._flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_END),
        )
