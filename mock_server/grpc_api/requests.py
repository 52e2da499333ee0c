"""Requests for inference, from their protobuf messages.

Order and texts of the errors: ``src/grpc/infer_handler.h`` of triton-inference-server/
server, and answers of a running one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tritonclient.grpc import service_pb2

from mock_server.errors import invalid, invalid_request
from mock_server.grpc_api.parameters import RequestParameters, tensor_parameters
from mock_server.wire.codec import DATATYPES, RawTensor, encode_wrapped, pack_strings
from mock_server.wire.inference import Cancellation, InferenceRequest, RequestedOutput
from mock_server.wire.shared_memory import SharedMemory

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


def inference_request(
    message: service_pb2.ModelInferRequest,
    shared_memory: SharedMemory,
    cancellation: Cancellation,
    *,
    drop_connection: Callable[[], object],
    is_streamed: bool = False,
) -> InferenceRequest:
    """Read a request: typed contents and shared memory turned into wire form.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if data is missing, doubled or of another type than said, or a
        parameter has a wrong type; NOT_FOUND for an unknown region of shared memory.
    """
    parameters = RequestParameters.of(message.parameters)
    _check_names(message)
    inputs = tuple(_inputs(message, shared_memory))
    return InferenceRequest(
        model_name=message.model_name,
        model_version=message.model_version,
        id=message.id,
        inputs=inputs,
        outputs=tuple(_outputs(message.outputs)),
        parameters=parameters.of_model,
        priority=parameters.priority,
        timeout_us=parameters.timeout_us,
        correlation_id=parameters.correlation_id,
        sequence_start=parameters.sequence_start,
        sequence_end=parameters.sequence_end,
        enable_empty_final_response=parameters.enable_empty_final_response,
        cancellation=cancellation,
        drop_connection=drop_connection,
        is_streamed=is_streamed,
    )


def _check_names(message: service_pb2.ModelInferRequest) -> None:
    seen = set()
    for each in message.inputs:
        if each.name in seen:
            raise invalid_request(
                message.id, f"input '{each.name}' already exists in request"
            )
        seen.add(each.name)


def _inputs(
    message: service_pb2.ModelInferRequest, shared_memory: SharedMemory
) -> Iterator[RawTensor]:
    raw = iter(message.raw_input_contents)
    has_raw = len(message.raw_input_contents) > 0
    for each in message.inputs:
        of_model = f"'{each.name}' for model '{message.model_name}'"
        has_contents = each.HasField("contents")
        location = None
        if each.parameters:
            location = tensor_parameters(each.name, each.parameters).shared_memory
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
        parameters: Mapping[str, Any] = each.parameters
        if not parameters:
            yield RequestedOutput(each.name)
            continue
        read = tensor_parameters(each.name, parameters)
        if read.n_classes and read.shared_memory is not None:
            raise invalid(
                "output can't set both 'shared_memory_region' and 'classification'"
            )
        yield RequestedOutput(each.name, read.n_classes, read.shared_memory)
