"""Parameters of requests and of their tensors, from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mock_server.errors import ModelError, invalid
from mock_server.http_api.json_text import (
    Json,
    bool_member,
    internal,
    member_or,
    string_member,
    unsigned_member,
)
from mock_server.wire.inference import ParameterValue, SharedMemorySlice


@dataclass(slots=True)
class RequestParameters:
    """Those that mean something to the server, and those for the model."""

    of_model: dict[str, ParameterValue] = field(default_factory=dict)
    priority: int = 0
    timeout_us: int = 0
    correlation_id: int | str = 0
    sequence_start: bool = False
    sequence_end: bool = False
    is_binary_by_default: bool = False

    @classmethod
    def of(cls, parameters: Json) -> RequestParameters:
        """Read the object ``parameters`` of a request.

        Raises
        ------
        ModelError
            INTERNAL for one of a wrong type, INVALID_ARGUMENT for a reserved name.
        """
        read = cls()
        if not isinstance(parameters, Mapping):
            raise internal(
                "failed to get request params.: attempt to get members for non-object"
            )
        for key in parameters:
            match key:
                case "sequence_id":
                    read.correlation_id = _correlation_id(parameters)
                case "sequence_start":
                    read.sequence_start = bool_member(parameters, key)
                case "sequence_end":
                    read.sequence_end = bool_member(parameters, key)
                case "priority":
                    read.priority = unsigned_member(parameters, key)
                case "timeout":
                    read.timeout_us = unsigned_member(parameters, key)
                case "binary_data_output":
                    read.is_binary_by_default = bool_member(parameters, key)
                case _ if key.startswith("triton_"):
                    raise invalid(
                        "parameter keys starting with 'triton_' are reserved for "
                        "Triton usage and should not be specified."
                    )
                case _:
                    read.of_model[key] = model_value(key, parameters[key])
        return read


def _correlation_id(parameters: Json) -> int | str:
    try:
        return unsigned_member(parameters, "sequence_id")
    except ModelError:
        return string_member(parameters, "sequence_id")


def model_value(key: str, value: Json) -> ParameterValue:
    """Value of a parameter that goes to the model.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for an array, an object or null.
    """
    if not isinstance(value, bool | int | float | str):
        raise invalid(
            f"parameter '{key}' has invalid type. It should be either 'int', 'bool', "
            "or 'string'."
        )
    return value


def options_of(tensor: Json) -> Mapping[str, Json]:
    """Object ``parameters`` of a tensor; anything else counts as none."""
    found = member_or(tensor, "parameters", {})
    return found if isinstance(found, Mapping) else {}


def shared_memory_slice(name: str, parameters: Json) -> SharedMemorySlice | None:
    """Where a tensor lies or is to go, if that is in shared memory.

    Raises
    ------
    ModelError
        INTERNAL for a wrong type, INVALID_ARGUMENT if a part is missing.
    """
    if "shared_memory_region" not in parameters:
        return None  # with an offset or a size beside it too, unlike over gRPC
    region = string_member(parameters, "shared_memory_region")
    if "shared_memory_byte_size" not in parameters:
        raise invalid(
            "'shared_memory_byte_size' must be specified along with "
            f"'shared_memory_region' parameter for tensor '{name}'"
        )
    offset = 0
    if "shared_memory_offset" in parameters:
        offset = unsigned_member(parameters, "shared_memory_offset")
    byte_size = unsigned_member(parameters, "shared_memory_byte_size")
    return SharedMemorySlice(region, offset, byte_size)
