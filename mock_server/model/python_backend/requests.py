"""Requests as a ``model.py`` gets and makes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from mock_server.errors import ModelError
from mock_server.model.declaration import Model
from mock_server.model.instances import Execution
from mock_server.model.python_backend.responses import (
    InferenceResponse,
    ResponseSender,
    TritonError,
    TritonModelException,
)
from mock_server.model.python_backend.tensors import Tensor
from mock_server.wire import inference
from mock_server.wire.inference import ParameterValue, RequestedOutput

TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2


Infer = Callable[[inference.InferenceRequest], Iterator[InferenceResponse]]
"""Asks another model of the same server; ends with its last response."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where a request that a model has got came from."""

    model: Model
    execution: Execution

    @property
    def output_names(self) -> list[str]:
        """Outputs asked for: all, if none is named."""
        wanted = [output.name for output in self.execution.request.outputs]
        return wanted or [spec.name for spec in self.model.outputs]


class InferenceRequest:
    """A request that came from a client, or one for another model of this server."""

    _served: Served | None = None
    _infer: Infer | None = None
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
        **_placement: Any,  # preferred memory, trace: nothing to choose here
    ) -> None:
        self._model_name = model_name
        self._outputs = list(requested_output_names)
        self._inputs = list(inputs)
        self._id, self._correlation_id = request_id, correlation_id
        self._version, self._flags, self._timeout = model_version, flags, timeout
        self._parameters = dict(parameters or {})

    @classmethod
    def of(cls, served: Served) -> InferenceRequest:
        """Request of a client, as the model it is for gets it."""
        asked = served.execution.request
        request = cls(
            served.model.name,
            served.output_names,
            [Tensor.of(raw) for raw in asked.inputs],
            asked.id,
            asked.correlation_id,
            int(served.model.version),
            asked.sequence_start * TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
            | asked.sequence_end * TRITONSERVER_REQUEST_FLAG_SEQUENCE_END,
            asked.timeout_us,
            asked.parameters,
        )
        request._served = served
        return request

    def inputs(self) -> list[Tensor]:
        """In the order of the request, control inputs last."""
        return self._inputs

    def request_id(self) -> str:
        """Empty if there is none."""
        return self._id

    def correlation_id(self) -> int | str:
        """Of its sequence; 0 if it belongs to none."""
        return self._correlation_id

    def flags(self) -> int:
        """START and END of a sequence."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        """Change START and END."""
        self._flags = flags

    def timeout(self) -> int:
        """Microseconds; 0: none."""
        return self._timeout

    def parameters(self) -> str:
        """Parameters as JSON."""
        return json.dumps(self._parameters)

    def requested_output_names(self) -> list[str]:
        """All that the model has, if the client named none."""
        return self._outputs

    def model_name(self) -> str:
        """Model it is for."""
        return self._model_name

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        served = self._served
        return served is not None and served.execution.request.cancellation.is_cancelled

    def get_response_sender(self) -> ResponseSender:
        """For a decoupled model: sends its responses.

        Raises
        ------
        TritonModelException
            If the model is not decoupled.
        """
        if self._served is None or not self._served.model.is_decoupled:
            raise TritonModelException(
                "'get_response_sender' function must be called only when the model is "
                "using the decoupled transaction policy."
            )
        return ResponseSender(self._served.model, self._served.execution)

    def exec(self, decoupled: bool = False) -> Any:
        """Ask the other model; all its responses as an iterator, if `decoupled`."""
        if self._infer is None:
            raise TritonModelException("this model is not part of a server")
        responses = self._responses(self._infer)
        return responses if decoupled else next(responses)

    async def async_exec(self, decoupled: bool = False) -> Any:
        """As `exec`, which runs in a thread of its own meanwhile."""
        return await asyncio.to_thread(self.exec, decoupled)

    def _responses(self, infer: Infer) -> Iterator[InferenceResponse]:
        """All responses; a request that is refused has one, an error."""
        try:
            yield from infer(self._request())
        except ModelError as error:
            text = error.message
            if error.code is grpc.StatusCode.NOT_FOUND:
                text = (
                    "Failed for execute the inference request. Model "
                    f"'{self._model_name}' is not ready."
                )
            prefix = f"Model {self._model_name} - Error when running inference: "
            yield InferenceResponse(error=TritonError(prefix + text))

    def _request(self) -> inference.InferenceRequest:
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
