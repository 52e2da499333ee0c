"""Inference requests from their protobuf messages.

Order and texts of the errors: ``src/grpc/infer_handler.h`` of
triton-inference-server/server.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from mock_server.errors import ModelError, invalid, invalid_request
from mock_server.wire.codec import DATATYPES, RawTensor, encode_wrapped, pack_strings
from mock_server.wire.inference import (
    Cancellation,
    InferenceRequest,
    ParameterValue,
    RequestedOutput,
    SharedMemorySlice,
)
from mock_server.wire.shared_memory import SharedMemory

MAX_CORRELATION_ID_BYTES = 128
FINAL_RESPONSE = "triton_enable_empty_final_response"

# Field of typed contents -> its own datatype, and the narrower ones it also carries.
_CONTENT_FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "bool_contents": ("BOOL", ()),
    "int_contents": ("INT32", ("INT8", "INT16")),
    "int64_contents": ("INT64", ()),
    "uint_contents": ("UINT32", ("UINT8", "UINT16")),
    "uint64_contents": ("UINT64", ()),
    "fp32_contents": ("FP32", ()),
    "fp64_contents": ("FP64", ()),
    "bytes_contents": ("BYTES", ()),
}

CONTENT_FIELD_OF: Mapping[str, str] = {
    datatype: name
    for name, (own, narrower) in _CONTENT_FIELDS.items()
    for datatype in (own, *narrower)
}
"""Field of typed contents by datatype; there is none for half precision."""

# Parameters of the server: the field of `InferenceRequest`, and the types accepted.
_SERVER_PARAMETERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sequence_id": ("correlation_id", ("int64_param", "string_param")),
    "sequence_start": ("sequence_start", ("bool_param",)),
    "sequence_end": ("sequence_end", ("bool_param",)),
    "priority": ("priority", ("int64_param", "uint64_param")),
    "timeout": ("timeout_us", ("int64_param",)),
    FINAL_RESPONSE: ("enable_empty_final_response", ("bool_param",)),
}
_MODEL_TYPES = ("bool_param", "int64_param", "string_param", "double_param")

Parameter = Any
"""Message of a parameter; tritonclient's messages have no types."""


def inference_request(
    message: service_pb2.ModelInferRequest,
    shared_memory: SharedMemory,
    cancellation: Cancellation,
    *,
    drop_connection: Callable[[], object],
    is_streamed: bool = False,
) -> InferenceRequest:
    """Read a request, and bring typed contents and shared memory into wire form.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if data is missing, given twice or of another type than
        declared, or a parameter has a wrong type; NOT_FOUND for an unknown region of
        shared memory.
    """
    # Any: values of the fields, of the types that `_SERVER_PARAMETERS` lists.
    options: dict[str, Any] = {}
    parameters: dict[str, ParameterValue] = {}
    for key, parameter in message.parameters.items():
        if key in _SERVER_PARAMETERS:
            name, types = _SERVER_PARAMETERS[key]
            options[name] = _typed(key, parameter, *types)
        elif key.startswith("triton_"):
            raise invalid(
                "parameter keys starting with 'triton_' are reserved for Triton usage. "
                "Only the following keys starting with 'triton_' are allowed: "
                f"{FINAL_RESPONSE}"
            )
        else:
            parameters[key] = _typed(key, parameter, *_MODEL_TYPES)
    if options.get("priority", 0) < 0:
        raise invalid("invalid value for 'priority', expected value >= 0.")
    if "correlation_id" in options:
        options["correlation_id"] = _correlation_id(options["correlation_id"])
    names: set[str] = set()
    for each in message.inputs:
        if each.name in names:
            raise invalid_request(
                message.id, f"input '{each.name}' already exists in request"
            )
        names.add(each.name)
    return InferenceRequest(
        model_name=message.model_name,
        model_version=message.model_version,
        id=message.id,
        inputs=tuple(_inputs(message, shared_memory)),
        outputs=tuple(_outputs(message.outputs)),
        parameters=parameters,
        cancellation=cancellation,
        drop_connection=drop_connection,
        is_streamed=is_streamed,
        **options,
    )


def _correlation_id(value: int | str) -> int | str:
    if isinstance(value, int):
        return value % 2**64  # Triton keeps it unsigned
    if len(value.encode()) > MAX_CORRELATION_ID_BYTES:
        raise ModelError(
            grpc.StatusCode.UNIMPLEMENTED,
            "string correlation ID cannot be longer than "
            f"{MAX_CORRELATION_ID_BYTES} characters",
        )
    return value


def _typed(key: str, parameter: Parameter, *types: str) -> Any:
    found = parameter.WhichOneof("parameter_choice")
    if found not in types:
        raise invalid(
            f"invalid value type for '{key}' parameter, expected {' or '.join(types)}"
        )
    return getattr(parameter, found)


def _inputs(
    message: service_pb2.ModelInferRequest, shared_memory: SharedMemory
) -> Iterator[RawTensor]:
    raw = iter(message.raw_input_contents)
    has_raw = len(message.raw_input_contents) > 0
    for each in message.inputs:
        of_model = f"'{each.name}' for model '{message.model_name}'"
        has_contents = each.HasField("contents")
        location = _shared_memory(each.name, each.parameters)
        data: bytes | None
        if location is not None:
            if has_contents:
                raise invalid(
                    "unexpected 'content' provided when using shared memory for input "
                    f"tensor {of_model}"
                )
            data = shared_memory.read(location)
        elif has_contents:
            if has_raw:
                raise invalid(
                    "contents field must not be specified when using "
                    f"raw_input_contents for {of_model}"
                )
            data = _typed_data(each, of_model)
        else:
            data = next(raw, None)
            if data is None:
                raise invalid(
                    f"unable to find data for input tensor {of_model} in request."
                )
        yield RawTensor(each.name, each.datatype, tuple(each.shape), data)


def _typed_data(
    tensor: service_pb2.ModelInferRequest.InferInputTensor, of_model: str
) -> bytes:
    for field, (own, narrower) in _CONTENT_FIELDS.items():
        values = getattr(tensor.contents, field)
        if not values:
            continue
        if tensor.datatype != own and tensor.datatype not in narrower:
            expected = tensor.datatype if tensor.datatype in DATATYPES else "<invalid>"
            raise invalid(
                f"unexpected explicit tensor data for input tensor {of_model} of type "
                f"'{own}', expected datatype '{expected}'"
            )
        if own == "BYTES":
            return pack_strings(values)
        return encode_wrapped(values, tensor.datatype)
    return b""


def _outputs(
    messages: Iterable[service_pb2.ModelInferRequest.InferRequestedOutputTensor],
) -> Iterator[RequestedOutput]:
    for each in messages:
        n_classes = 0
        if "classification" in each.parameters:
            n_classes = _typed(
                "classification", each.parameters["classification"], "int64_param"
            )
            if n_classes < 1:
                raise invalid(
                    "invalid value for 'classification' parameter, expected >= 0"
                )
        location = _shared_memory(each.name, each.parameters)
        if n_classes and location is not None:
            raise invalid(
                "output can't set both 'shared_memory_region' and 'classification'"
            )
        yield RequestedOutput(each.name, n_classes, location)


def _shared_memory(
    tensor: str, parameters: Mapping[str, Parameter]
) -> SharedMemorySlice | None:
    if not parameters:
        return None
    found = {
        name: _typed(key, parameters[key], kind)
        for name, kind in (
            ("region", "string_param"),
            ("offset", "int64_param"),
            ("byte_size", "int64_param"),
        )
        if (key := f"shared_memory_{name}") in parameters
    }
    if "region" not in found:
        for name in found:
            raise invalid(
                f"'shared_memory_{name}' can not be specified without "
                f"'shared_memory_region' parameter for tensor '{tensor}'"
            )
        return None
    if "byte_size" not in found:
        raise invalid(
            "'shared_memory_byte_size' must be specified along with "
            f"'shared_memory_region' parameter for tensor '{tensor}'"
        )
    return SharedMemorySlice(
        found["region"], found.get("offset", 0), found["byte_size"]
    )
