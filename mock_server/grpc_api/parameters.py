"""Parameters of requests and of their tensors, from protobuf messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc

from mock_server.errors import ModelError, invalid
from mock_server.wire.inference import ParameterValue, SharedMemorySlice

MAX_CORRELATION_ID_BYTES = 128
FINAL_RESPONSE = "triton_enable_empty_final_response"

# Message of a parameter; tritonclient's stubs have no types.
_Parameter = Any


@dataclass(slots=True)
class RequestParameters:
    """Those that mean something to the server, and those for the model."""

    of_model: dict[str, ParameterValue] = field(default_factory=dict)
    priority: int = 0
    timeout_us: int = 0
    correlation_id: int | str = 0
    sequence_start: bool = False
    sequence_end: bool = False
    enable_empty_final_response: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, _Parameter]) -> "RequestParameters":
        """Read the parameters of a request.

        Raises
        ------
        ModelError
            INVALID_ARGUMENT if one has a type it may not have, or a reserved name.
        """
        read = cls()
        for key, parameter in parameters.items():
            match key:
                case "sequence_id":
                    value = _typed(key, parameter, "int64_param", "string_param")
                    read.correlation_id = correlation_id(value)
                case "sequence_start":
                    read.sequence_start = _typed(key, parameter, "bool_param")
                case "sequence_end":
                    read.sequence_end = _typed(key, parameter, "bool_param")
                case "priority":
                    read.priority = _typed(
                        key, parameter, "int64_param", "uint64_param"
                    )
                    if read.priority < 0:
                        raise invalid(
                            "invalid value for 'priority', expected value >= 0."
                        )
                case "timeout":
                    read.timeout_us = _typed(key, parameter, "int64_param")
                case _ if key == FINAL_RESPONSE:
                    read.enable_empty_final_response = _typed(
                        key, parameter, "bool_param"
                    )
                case _ if key.startswith("triton_"):
                    raise invalid(
                        "parameter keys starting with 'triton_' are reserved for "
                        "Triton usage. Only the following keys starting with "
                        f"'triton_' are allowed: {FINAL_RESPONSE}"
                    )
                case _:
                    read.of_model[key] = _model_value(key, parameter)
        return read


def correlation_id(value: int | str) -> int | str:
    """Correlation id as Triton keeps it: numbers are unsigned.

    Raises
    ------
    ModelError
        UNIMPLEMENTED if a text is too long.
    """
    if isinstance(value, int):
        return value % 2**64
    if len(value.encode()) > MAX_CORRELATION_ID_BYTES:
        raise ModelError(
            grpc.StatusCode.UNIMPLEMENTED,
            "string correlation ID cannot be longer than "
            f"{MAX_CORRELATION_ID_BYTES} characters",
        )
    return value


class TensorParameters(NamedTuple):
    """Where an input lies, or in what form and where an output is wanted."""

    n_classes: int = 0
    shared_memory: SharedMemorySlice | None = None


def tensor_parameters(
    tensor: str, parameters: Mapping[str, _Parameter]
) -> TensorParameters:
    """Read the parameters of an input or of a requested output; others are ignored.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if one has a wrong type or value, or lacks the others.
    """
    n_classes = 0
    if "classification" in parameters:
        n_classes = _typed(
            "classification", parameters["classification"], "int64_param", end=""
        )
        if n_classes < 1:
            raise invalid("invalid value for 'classification' parameter, expected >= 0")
    region = _of_tensor(tensor, parameters, "region", "string_param")
    offset = _of_tensor(tensor, parameters, "offset", "int64_param")
    byte_size = _of_tensor(tensor, parameters, "byte_size", "int64_param")
    if region is None:
        for name, value in (("offset", offset), ("byte_size", byte_size)):
            if value is not None:
                raise invalid(
                    f"'shared_memory_{name}' can not be specified without "
                    f"'shared_memory_region' parameter for tensor '{tensor}'"
                )
        return TensorParameters(n_classes)
    if byte_size is None:
        raise invalid(
            "'shared_memory_byte_size' must be specified along with "
            f"'shared_memory_region' parameter for tensor '{tensor}'"
        )
    return TensorParameters(
        n_classes, SharedMemorySlice(region, offset or 0, byte_size)
    )


def _of_tensor(
    tensor: str,
    parameters: Mapping[str, _Parameter],
    name: str,
    kind: str,
) -> Any:
    key = f"shared_memory_{name}"
    if key not in parameters:
        return None
    if parameters[key].WhichOneof("parameter_choice") != kind:
        raise invalid(
            f"invalid value type for '{key}' parameter for tensor '{tensor}', "
            f"expected {kind}."
        )
    return getattr(parameters[key], kind)


def _typed(key: str, parameter: _Parameter, *kinds: str, end: str = ".") -> Any:
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in kinds:
        raise invalid(
            f"invalid value type for '{key}' parameter, expected "
            f"{' or '.join(kinds)}{end}"
        )
    return getattr(parameter, kind)


def _model_value(key: str, parameter: _Parameter) -> ParameterValue:
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in {"bool_param", "int64_param", "string_param", "double_param"}:
        raise invalid(
            f"invalid value type for '{key}' parameter, expected int64_param, "
            "bool_param, or string_param."
        )
    value: ParameterValue = getattr(parameter, kind)
    return value
