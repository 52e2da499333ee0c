"""Requests for inference, from JSON and the binary data behind it.

Order and texts of the errors: ``EVRequestToTritonRequest`` of ``src/http_server.cc`` in
triton-inference-server/server, and answers of a running one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mock_server.errors import invalid, invalid_request
from mock_server.http_api.json_tensors import data_of_json
from mock_server.http_api.json_text import (
    Json,
    array_member,
    as_unsigned,
    bool_member,
    member_or,
    parse,
    string_member,
    unsigned_member,
)
from mock_server.http_api.parameters import (
    RequestParameters,
    options_of,
    shared_memory_slice,
)
from mock_server.model.declaration import Model
from mock_server.wire.codec import DATATYPES, RawTensor
from mock_server.wire.inference import Cancellation, InferenceRequest, RequestedOutput
from mock_server.wire.shared_memory import SharedMemory


class HttpInference(NamedTuple):
    """A request, and which of its outputs are wanted as bytes behind the JSON."""

    request: InferenceRequest
    is_binary: Mapping[str, bool]  #: by output, where the client said so
    is_binary_by_default: bool


def inference_request(
    model: Model,
    header: bytes,
    binary: bytes,
    shared_memory: SharedMemory,
    *,
    cancellation: Cancellation,
    drop_connection: Callable[[], object],
) -> HttpInference:
    """Read a request.

    Raises
    ------
    ModelError
        INTERNAL for what is no JSON of this form, INVALID_ARGUMENT for data that is
        missing, doubled or of another length than said, NOT_FOUND for an unknown region
        of shared memory.
    """
    value = parse(header)
    request_id = ""
    if member_or(value, "id", None) is not None:
        request_id = string_member(value, "id")
    parameters = RequestParameters.of(member_or(value, "parameters", {}))
    reader = _InputReader(model.name, request_id, binary, shared_memory)
    inputs = tuple(reader.read(each) for each in array_member(value, "inputs"))
    outputs, is_binary = [], {}
    for each in array_member(value, "outputs") if "outputs" in value else ():
        outputs.append(_requested_output(each))
        options = options_of(each)
        if "binary_data" in options:
            is_binary[outputs[-1].name] = bool_member(options, "binary_data")
    reader.check_end()
    request = InferenceRequest(
        model_name=model.name,
        model_version=model.version,
        id=request_id,
        inputs=inputs,
        outputs=tuple(outputs),
        parameters=parameters.of_model,
        priority=parameters.priority,
        timeout_us=parameters.timeout_us,
        correlation_id=parameters.correlation_id,
        sequence_start=parameters.sequence_start,
        sequence_end=parameters.sequence_end,
        cancellation=cancellation,
        drop_connection=drop_connection,
    )
    return HttpInference(request, is_binary, parameters.is_binary_by_default)


class _InputReader:
    """Inputs in their order, the binary ones from the bytes behind the JSON."""

    def __init__(
        self, model_name: str, request_id: str, binary: bytes, shared: SharedMemory
    ) -> None:
        self._model_name = model_name
        self._request_id = request_id
        self._binary = binary
        self._position = 0
        self._shared_memory = shared
        self._seen: set[str] = set()

    def read(self, value: Json) -> RawTensor:
        parameters = options_of(value)
        _check_one_source(value, parameters)
        name = string_member(value, "name")
        datatype = string_member(value, "datatype")
        shape = tuple(as_unsigned(d, "shape") for d in array_member(value, "shape"))
        if name in self._seen:
            raise invalid_request(
                self._request_id, f"input '{name}' already exists in request"
            )
        self._seen.add(name)
        location = shared_memory_slice(name, parameters)
        if "binary_data_size" in parameters:
            data = self._take(name, unsigned_member(parameters, "binary_data_size"))
        elif location is not None:
            data = self._shared_memory.read(location)
        elif datatype not in DATATYPES:
            raise invalid(f"invalid datatype for input {name}")
        else:
            content = array_member(value, "data")
            if datatype not in DATATYPES:
                raise invalid(f"invalid datatype for input {name}")
            data = data_of_json(content, name=name, datatype=datatype, shape=shape)
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


def _check_one_source(value: Json, parameters: Mapping[str, Json]) -> None:
    given = ["data"] if isinstance(value, Mapping) and "data" in value else []
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
    name = string_member(value, "name")
    parameters = options_of(value)
    n_classes = 0
    if "classification" in parameters:
        n_classes = as_unsigned(
            parameters["classification"], "classification", verb="set"
        )
    location = shared_memory_slice(name, parameters)
    if n_classes and location is not None:
        raise invalid(
            "output can't set both 'shared_memory_region' and 'classification'"
        )
    return RequestedOutput(name, n_classes, location)
