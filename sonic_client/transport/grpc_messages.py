"""Tensors to and from the messages of KServe v2 over gRPC.

A request is written as its small protobuf header followed by the tensors' own
memory, which is copied once, when the parts are joined: filling the generated
message and serialising it would copy every tensor three times.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from sonic_client.errors import InvalidAnswerError, Mismatch
from sonic_client.transport.base import (
    InferCall,
    InferReply,
    RegionSlice,
)
from sonic_client.transport.raw_tensors import raw_values, tensor_of
from sonic_client.types import TensorSpec, datatype_of

__all__ = ["decode_reply", "encode_call"]

# Field 7, `raw_input_contents`, of `ModelInferRequest`; wire type 2 is bytes.
_RAW_INPUT_TAG = bytes([7 << 3 | 2])

_PARAMETER_FIELDS = {
    bool: "bool_param",
    int: "int64_param",
    float: "double_param",
    str: "string_param",
}


def encode_call(call: InferCall) -> list[bytes | memoryview]:
    """Return the parts of a `ModelInferRequest` message, to be joined.

    The parts that hold tensors are views of the call's arrays where those are
    contiguous, little-endian and not ``BYTES``.
    """
    header = service_pb2.ModelInferRequest(
        model_name=call.model_name,
        model_version=call.model_version,
        id=call.request_id,
    )
    for name, value in call.parameters.items():
        setattr(header.parameters[name], _PARAMETER_FIELDS[type(value)], value)
    values: list[bytes | memoryview] = []
    for name, array in call.inputs.items():
        tensor = header.inputs.add(
            name=name, datatype=datatype_of(array.dtype), shape=array.shape
        )
        if place := call.input_regions.get(name):
            _set_region(tensor, place)
        else:
            content = raw_values(array)
            values += (_RAW_INPUT_TAG + _varint(len(content)), content)
    for name in call.outputs:
        output = header.outputs.add(name=name)
        if place := call.output_regions.get(name):
            _set_region(output, place)
    return [header.SerializeToString(), *values]


# Any: the generated message classes have no types.
def _set_region(tensor: Any, place: RegionSlice) -> None:
    tensor.parameters["shared_memory_region"].string_param = place.region
    tensor.parameters["shared_memory_offset"].int64_param = place.offset
    tensor.parameters["shared_memory_byte_size"].int64_param = place.n_bytes


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes lengths: 7 bits a byte, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode_reply(
    message: bytes, *, server: str, output_regions: Container[str] = ()
) -> InferReply:
    """Return the tensors of a `ModelInferResponse` message, as read-only views.

    Parameters
    ----------
    message : bytes
    server : str
    output_regions : container of str
        Outputs that the call wanted in shared memory; the answer does not tell.

    Raises
    ------
    InvalidAnswerError
        If the message cannot be parsed, or a tensor's bytes are missing or do
        not fill its shape.
    """
    reply = service_pb2.ModelInferResponse.FromString(message)
    contents = list(reply.raw_output_contents)
    if len(contents) != len(reply.outputs):
        raise InvalidAnswerError(
            model=reply.model_name,
            server=server,
            mismatches=[
                Mismatch(tensor.name, "raw contents", "typed contents")
                for tensor in reply.outputs[len(contents) :]
            ],
        )
    outputs: dict[str, NDArray[Any]] = {}
    placed: list[TensorSpec] = []
    mismatches: list[Mismatch] = []
    for tensor, content in zip(reply.outputs, contents, strict=True):
        spec = TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape))
        if spec.name in output_regions:
            placed.append(spec)
            continue
        try:
            outputs[spec.name] = tensor_of(spec, content)
        except ValueError as error:
            mismatches.append(Mismatch(spec.name, spec.form, str(error)))
    if mismatches:
        raise InvalidAnswerError(
            model=reply.model_name, server=server, mismatches=mismatches
        )
    return InferReply(
        model_version=reply.model_version, outputs=outputs, placed=tuple(placed)
    )
