"""Responses and errors as a ``model.py`` makes and gets them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import grpc

from mock_server.errors import ModelError
from mock_server.model.declaration import Model
from mock_server.model.instances import Execution
from mock_server.model.python_backend.tensors import Tensor
from mock_server.wire import inference
from mock_server.wire.inference import ParameterValue

TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1


class TritonModelException(Exception):
    """What the backend itself raises in a model."""


class TritonError:
    """An error to be answered, by one of Triton's codes."""

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
        """Text for the client."""
        return self._message

    def code(self) -> grpc.StatusCode:
        """One of the codes above."""
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
        """Response of another model, as the one that asked gets it."""
        error = response.error
        return cls(
            [Tensor.of(raw) for raw in response.outputs],
            None if error is None else TritonError(error.message, error.code),
            response.parameters,
        )

    def output_tensors(self) -> list[Tensor]:
        """In the order in which they are sent."""
        return self._outputs

    def has_error(self) -> bool:
        """Whether it is an error."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """The error, or None."""
        return self._error

    def parameters(self) -> str:
        """Parameters as JSON."""
        return json.dumps(self._parameters)

    def answer(
        self, model: Model, request: inference.InferenceRequest
    ) -> inference.InferenceResponse:
        """The same as the server's core knows it."""
        error = self._error
        return inference.InferenceResponse(
            model_name=model.name,
            model_version=model.version,
            id=request.id,
            outputs=()
            if error is not None
            else tuple(each.raw() for each in self._outputs),
            parameters=self._parameters,
            error=None if error is None else ModelError(error.code(), error.message()),
        )


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
        answer = (
            None
            if response is None
            else response.answer(self._model, self._execution.request)
        )
        self._execution.respond(answer, is_final)

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._execution.request.cancellation.is_cancelled
