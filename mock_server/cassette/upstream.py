"""The client of the real server that is recorded, over gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from mock_server.errors import ConfigurationError, ModelError, internal, invalid
from mock_server.grpc_api.responses import FINAL_FLAG, set_parameter
from mock_server.model.config import model_of
from mock_server.wire.codec import RawTensor, check_filled
from mock_server.wire.inference import InferenceRequest, InferenceResponse
from sonic_base import Secret

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class Upstream:
    """A connection to the real server, plain or with TLS; a context manager.

    Parameters
    ----------
    url : str
        ``grpc://HOST:PORT``, ``grpcs://HOST:PORT``, or ``HOST:PORT``.
    token : Secret, optional
        Sent with every call as ``authorization: Bearer <token>``.
    timeout_s : float
        Of every call, in seconds.

    Raises
    ------
    ValueError
        If `url` has another form.
    """

    def __init__(
        self, url: str, *, token: Secret | None = None, timeout_s: float = 300.0
    ) -> None:
        scheme, _, address = url.rpartition("://")
        if scheme not in {"", "grpc", "grpcs"} or not address:
            raise ValueError(f"expected grpc://HOST:PORT or grpcs://, got {url!r}")
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),  # whatever the environment names
        ]
        self._channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), options)
            if scheme == "grpcs"
            else grpc.insecure_channel(address, options)
        )
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        bearer = None if token is None else f"Bearer {token.reveal()}"
        self._access: dict[str, Any] = {  # Any: options of a call, of several types
            "timeout": timeout_s,
            "metadata": None if bearer is None else (("authorization", bearer),),
        }

    def described(
        self, names: Iterable[str]
    ) -> dict[str, tuple[model_config_pb2.ModelConfig, str]]:
        """Return the configuration and the highest version of each model.

        Raises
        ------
        ModelError
            The server's error, with its code.
        ConfigurationError
            If it describes a model as none can be.
        """
        models = {}
        for name in names:
            try:
                metadata = self._stub.ModelMetadata(
                    service_pb2.ModelMetadataRequest(name=name), **self._access
                )
                answer = self._stub.ModelConfig(
                    service_pb2.ModelConfigRequest(name=name), **self._access
                )
            except grpc.RpcError as error:
                raise ModelError(error.code(), error.details()) from error
            models[name] = answer.config, _checked(name, answer.config, metadata)
        return models

    def ask(
        self, request: InferenceRequest, *, is_decoupled: bool
    ) -> list[InferenceResponse]:
        """Return every response to a request; an error is a response, too."""
        try:
            message = _message(request)
            if is_decoupled:
                return list(self._streamed(message))
            answer = self._stub.ModelInfer(message, **self._access)
            return [_response(answer)]
        except grpc.RpcError as error:
            refusal = ModelError(error.code(), error.details() or "")
        except ModelError as error:
            refusal = error
        return [
            InferenceResponse(
                model_name=request.model_name,
                model_version="",
                id=request.id,
                error=refusal,
            )
        ]

    def _streamed(
        self, message: service_pb2.ModelInferRequest
    ) -> Iterator[InferenceResponse]:
        message.parameters["triton_enable_empty_final_response"].bool_param = True
        call = self._stub.ModelStreamInfer(iter([message]), **self._access)
        for each in call:
            answer = each.infer_response
            if each.error_message:
                # Streams carry no codes: INTERNAL is that of an exception.
                error = ModelError(grpc.StatusCode.INTERNAL, each.error_message)
                yield replace(_response(answer), error=error)
            elif not (answer.parameters[FINAL_FLAG].bool_param and not answer.outputs):
                yield _response(answer)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _message(request: InferenceRequest) -> service_pb2.ModelInferRequest:
    message = service_pb2.ModelInferRequest(
        model_name=request.model_name,
        model_version=request.model_version,
        id=request.id,
    )
    for name, datatype, shape, data in request.inputs:
        message.inputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_input_contents.append(data)
    for output in request.outputs:
        message.outputs.add(name=output.name)
    for key, value in request.parameters.items():
        if type(value) is int and not _INT64_MIN <= value <= _INT64_MAX:
            raise invalid(f"parameter '{key}' does not fit into 64 bits with a sign")
        set_parameter(message.parameters[key], value)
    if number := request.correlation_id:
        if isinstance(number, int) and number > _INT64_MAX:
            number -= 2**64  # the server takes it for an unsigned one again
        set_parameter(message.parameters["sequence_id"], number)
        message.parameters["sequence_start"].bool_param = request.sequence_start
        message.parameters["sequence_end"].bool_param = request.sequence_end
    return message


def _checked(
    name: str,
    config: model_config_pb2.ModelConfig,
    metadata: service_pb2.ModelMetadataResponse,
) -> str:
    """Return the highest version of a model that could be served as it is described."""
    problem = f"the server describes model {name!r} as none can be: "
    if config.name != name:
        raise ConfigurationError(f"{problem}its name is {config.name[:99]!r}")
    try:
        version = str(max(metadata.versions, key=int))
        model_of(config, dict, version=version)
    except ValueError as error:
        raise ConfigurationError(f"{problem}{error}") from error
    return version


def _response(message: service_pb2.ModelInferResponse) -> InferenceResponse:
    """Read a response.

    Raises
    ------
    ModelError
        INTERNAL if the data of an output does not fill its shape.
    """
    try:
        response = _read(message)
        for tensor in response.outputs:
            check_filled(tensor)
    except ValueError as error:
        raise internal(f"the recorded server's answer is malformed: {error}") from error
    return response


def _read(message: service_pb2.ModelInferResponse) -> InferenceResponse:
    return InferenceResponse(
        model_name=message.model_name,
        model_version=message.model_version,
        id=message.id,
        outputs=tuple(
            RawTensor(each.name, each.datatype, tuple(each.shape), data)
            for each, data in zip(
                message.outputs, message.raw_output_contents, strict=True
            )
        ),
    )
