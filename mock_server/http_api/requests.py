"""HTTP inference requests: JSON and the binary data after it, or raw data alone.

Order and texts of the errors: ``EVRequestToTritonRequest`` of ``src/http_server.cc`` in
triton-inference-server/server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar

from mock_server.errors import ModelError, internal, invalid, invalid_request
from mock_server.http_api.json_values import (
    Json,
    JsonObject,
    data_of_json,
    member,
    parse,
    typed,
)
from mock_server.model.declaration import FREE, Model
from mock_server.profiles import Profile
from mock_server.scheduling.threads import waiting
from mock_server.wire.codec import DATATYPES, ELEMENT_BYTES, RawTensor, element_count
from mock_server.wire.inference import (
    Cancellation,
    InferenceRequest,
    ParameterValue,
    RequestedOutput,
    SharedMemorySlice,
)
from mock_server.wire.shared_memory import SharedMemory

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

HEADER_LENGTH = "Inference-Header-Content-Length"
INCREASE_LIMIT = "Use --http-max-input-size to increase the limit."


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request that was read to its end, and its connection."""

    body: bytes
    headers: Mapping[str, str]
    """By lower-case name."""

    cancellation: Cancellation
    drop_connection: Callable[[], object]
    threads: Executor
    """For what may block."""

    profile: Profile
    """Of the server that answers."""

    async def in_thread(
        self, function: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Call a function that may block, as a planned fault or a model's load does."""

        def run() -> ResultT:
            with waiting():
                return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self.threads, run)

    def request(
        self, model: Model, inputs: tuple[RawTensor, ...], **fields: Any
    ) -> InferenceRequest:
        """Inference request of this call; `fields` are further ones of its fields."""
        return InferenceRequest(
            model_name=model.name,
            model_version=model.version,
            inputs=inputs,
            cancellation=self.cancellation,
            drop_connection=self.drop_connection,
            **fields,
        )


class HttpInference(NamedTuple):
    """A request, and which of its outputs are to be sent as binary data."""

    request: InferenceRequest
    is_binary: Mapping[str, bool]  #: by output, where the client said so
    is_binary_by_default: bool


def read_inference(
    call: Call, model: Model, shared_memory: SharedMemory
) -> HttpInference:
    """Read a request.

    Raises
    ------
    ModelError
        INTERNAL for JSON of another form; INVALID_ARGUMENT for data that is missing,
        given twice or of another length than declared; NOT_FOUND for an unknown region
        of shared memory.
    """
    length = _header_length(call)
    limit = call.profile.max_http_input_bytes
    if length == 0:
        if limit is not None and len(call.body) > limit:
            raise invalid(
                f"Raw input has a byte_size ({len(call.body)} bytes) that exceeds the "
                f"maximum allowed value of {limit} bytes. {INCREASE_LIMIT}"
            )
        return HttpInference(_raw_request(call, model), {}, True)
    check_json_size(call.profile, length)
    value, binary = parse(call.body[:length]), call.body[length:]
    request_id = ""
    if isinstance(value, dict) and value.get("id") is not None:
        request_id = member(value, "id", str)
    given = value.get("parameters", {}) if isinstance(value, dict) else {}
    if not isinstance(given, dict):
        raise internal("failed to get request params: attempt to access non-object")
    is_binary_by_default = False
    if "binary_data_output" in given:
        is_binary_by_default = member(given, "binary_data_output", bool)
    fields = request_fields(
        {key: each for key, each in given.items() if key != "binary_data_output"}
    )
    reader = _InputReader(model.name, request_id, binary, shared_memory, call.profile)
    inputs = tuple(reader.read(each) for each in member(value, "inputs", list))
    outputs, is_binary = [], {}
    for each in member(value, "outputs", list) if "outputs" in value else ():
        outputs.append(_requested_output(each))
        options = _parameters_of(each)
        if "binary_data" in options:
            is_binary[outputs[-1].name] = member(options, "binary_data", bool)
    reader.check_end()
    request = call.request(
        model, inputs, id=request_id, outputs=tuple(outputs), **fields
    )
    return HttpInference(request, is_binary, is_binary_by_default)


def is_readable(call: Call) -> bool:
    """Whether the server can read the body: without binary tensors, only JSON."""
    if call.profile.has_binary_tensors:
        return True
    is_json = call.headers.get("content-type", "").startswith("application/json")
    return is_json and HEADER_LENGTH.lower() not in call.headers


def check_json_size(profile: Profile, size: int) -> None:
    """Refuse JSON above the limit of the profile.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT.
    """
    limit = profile.max_http_input_bytes
    if profile.limits_http_json and limit is not None and size > limit:
        raise invalid(
            f"request JSON size of {size} bytes exceeds the maximum allowed input size "
            f"of {limit} bytes. {INCREASE_LIMIT}"
        )


def _header_length(call: Call) -> int:
    text = call.headers.get(HEADER_LENGTH.lower(), str(len(call.body)))
    try:
        length = int(text)
    except ValueError:
        length = -1
    if not 0 <= length <= len(call.body):
        raise invalid(
            f"inference header size should be in range (0, {len(call.body)}), got: "
            f"{text}"
        )
    return length


def request_fields(parameters: Mapping[str, Json]) -> dict[str, Any]:
    """Fields of `InferenceRequest` that the parameters of a request set.

    Raises
    ------
    ModelError
        INTERNAL for one of a wrong type, INVALID_ARGUMENT for a reserved name or a
        value that is not plain.
    """
    fields: dict[str, Any] = {}
    of_model: dict[str, ParameterValue] = {}
    for key, value in parameters.items():
        match key:
            case "sequence_id":
                is_text = isinstance(value, str)
                fields["correlation_id"] = (
                    value if is_text else member(parameters, key, int)
                )
            case "sequence_start" | "sequence_end":
                fields[key] = member(parameters, key, bool)
            case "priority":
                fields["priority"] = member(parameters, key, int)
            case "timeout":
                fields["timeout_us"] = member(parameters, key, int)
            case _ if key.startswith("triton_"):
                raise invalid(
                    "parameter keys starting with 'triton_' are reserved for Triton "
                    "usage and should not be specified."
                )
            case _ if isinstance(value, bool | int | float | str):
                of_model[key] = value
            case _:
                raise invalid(
                    f"parameter '{key}' has invalid type. It should be either 'int', "
                    "'bool', or 'string'."
                )
    return {**fields, "parameters": of_model}


class _InputReader:
    """Reads inputs in their order, binary ones from the bytes after the JSON."""

    def __init__(
        self,
        model_name: str,
        request_id: str,
        binary: bytes,
        shared: SharedMemory,
        profile: Profile,
    ) -> None:
        self._profile = profile
        self._model_name = model_name
        self._request_id = request_id
        self._binary = binary
        self._position = 0
        self._shared_memory = shared
        self._seen: set[str] = set()

    def read(self, value: Json) -> RawTensor:
        parameters = _parameters_of(value)
        _check_one_source(value, parameters)
        name = member(value, "name", str)
        datatype = member(value, "datatype", str)
        where = "Unable to parse 'shape': "
        shape = tuple(typed(dim, int, where) for dim in member(value, "shape", list))
        if name in self._seen:
            raise invalid_request(
                self._request_id, f"input '{name}' already exists in request"
            )
        self._seen.add(name)
        location = _shared_memory(name, parameters)
        if "binary_data_size" in parameters:
            data = self._take(name, member(parameters, "binary_data_size", int))
        elif location is not None:
            data = self._shared_memory.read(location)
        elif datatype not in DATATYPES:
            raise invalid(f"invalid datatype for input {name}")
        else:
            content = member(value, "data", list)
            data = data_of_json(
                content,
                name=name,
                datatype=datatype,
                shape=shape,
                profile=self._profile,
            )
            limit = self._profile.max_http_input_bytes
            if limit is not None and len(data) > limit:
                raise invalid(
                    f"JSON input '{name}' has a byte_size ({len(data)} bytes) that "
                    f"exceeds the maximum allowed value of {limit} bytes. "
                    f"{INCREASE_LIMIT}"
                )
        return RawTensor(name, datatype, shape, data)

    def _take(self, name: str, size: int) -> bytes:
        start, self._position = self._position, self._position + size
        missing = self._position - len(self._binary)
        if missing > 0:
            raise invalid(
                f"unexpected size for input '{name}', expecting {missing} additional "
                f"bytes for model '{self._model_name}'"
            )
        return self._binary[start : self._position]

    def check_end(self) -> None:
        if self._position != len(self._binary):
            raise invalid(
                f"unexpected additional input data for model '{self._model_name}'"
            )


def _parameters_of(tensor: Json) -> dict[str, Json]:
    """Object ``parameters`` of a tensor; anything else counts as none."""
    found = tensor.get("parameters") if isinstance(tensor, dict) else None
    return found if isinstance(found, JsonObject) else {}


def _check_one_source(value: Json, parameters: Mapping[str, Json]) -> None:
    given = ["data"] if isinstance(value, dict) and "data" in value else []
    for key in ("binary_data_size", "shared_memory_region"):
        if key in parameters:
            given.append(key)
    if len(given) == 1:
        return
    got = "set " + " ".join(f"'{key}'" for key in given) if given else "no field is set"
    raise invalid(
        "Input must set only one of the following fields: 'data', 'binary_data_size' "
        f"in 'parameters', 'shared_memory_region' in 'parameters'. But {got}"
    )


def _requested_output(value: Json) -> RequestedOutput:
    name = member(value, "name", str)
    parameters = _parameters_of(value)
    n_classes = 0
    if "classification" in parameters:
        n_classes = member(parameters, "classification", int)
    location = _shared_memory(name, parameters)
    if n_classes and location is not None:
        raise invalid(
            "output can't set both 'shared_memory_region' and 'classification'"
        )
    return RequestedOutput(name, n_classes, location)


def _shared_memory(
    tensor: str, parameters: Mapping[str, Json]
) -> SharedMemorySlice | None:
    if "shared_memory_region" not in parameters:
        return None  # unlike gRPC, HTTP accepts an offset or a size without a region
    if "shared_memory_byte_size" not in parameters:
        raise invalid(
            "'shared_memory_byte_size' must be specified along with "
            f"'shared_memory_region' parameter for tensor '{tensor}'"
        )
    return SharedMemorySlice(
        member(parameters, "shared_memory_region", str),
        typed(parameters.get("shared_memory_offset", 0), int),
        member(parameters, "shared_memory_byte_size", int),
    )


def _raw_request(call: Call, model: Model) -> InferenceRequest:
    """Request whose whole body is the one input of the model; its shape is deduced."""
    try:
        return call.request(model, (_raw_input(model, call.body),))
    except ModelError as error:
        raise invalid_request("", error.message) from error


def _raw_input(model: Model, body: bytes) -> RawTensor:
    if len(model.inputs) != 1:
        raise invalid(
            f"Raw request must only have 1 input to be deduced but got "
            f"{len(model.inputs)} inputs in '{model.name}' model configuration"
        )
    (spec,) = model.inputs
    dims = list(spec.shape)
    if dims.count(FREE) > 1:
        raise invalid(
            f"The shape of the raw input '{spec.name}' can not be deduced because "
            "there are more than one variable-sized dimension"
        )
    if spec.datatype == "BYTES":
        if element_count(dims) != 1:
            raise invalid(
                f"For BYTE datatype raw input '{spec.name}', the model must have input "
                "shape [1]"
            )
        body = len(body).to_bytes(4, "little") + body
    else:
        if FREE in dims:
            row = element_count(dim for dim in dims if dim != FREE)
            row_bytes = row * ELEMENT_BYTES[spec.datatype]
            dims[dims.index(FREE)] = len(body) // row_bytes if row_bytes else 0
        expected = element_count(dims) * ELEMENT_BYTES[spec.datatype]
        if expected != len(body):
            raise invalid(
                f"input byte size mismatch for input '{spec.name}' for model "
                f"'{model.name}'. Expected {expected}, got {len(body)}"
            )
    if model.max_batch_size > 0:
        dims.insert(0, 1)
    return RawTensor(spec.name, spec.datatype, tuple(dims), body)
