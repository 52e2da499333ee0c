"""Inference requests and responses of KServe v2 over gRPC.

A request is written as its small protobuf header followed by the tensors' own
memory, which is copied once, when the parts are joined: filling the generated
message and serialising it would copy every tensor three times.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tritonclient.grpc import service_pb2

from sonic_client.transport.base import InferCall, InferReply, RegionSlice
from sonic_client.transport.foreign import read_answer
from sonic_client.transport.payload import Content, raw_values, reply_of
from sonic_client.types import TensorSpec, datatype_of

__all__ = ["decode_reply", "encode_call"]

# Field 7, `raw_input_contents`, of `ModelInferRequest`; wire type 2 is bytes.
_RAW_INPUT_TAG = bytes([7 << 3 | 2])


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


def _set_region(tensor: Any, place: RegionSlice) -> None:  # Any: a generated message
    tensor.parameters["shared_memory_region"].string_param = place.region
    tensor.parameters["shared_memory_offset"].int64_param = place.offset
    tensor.parameters["shared_memory_byte_size"].int64_param = place.n_bytes


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes lengths: 7 bits per byte, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _typed_values(tensor: Any) -> list[Any] | None:
    """Return the values of an output that are not raw; None if there are none."""
    if not tensor.HasField("contents"):
        return None
    filled = tensor.contents.ListFields()
    return list(filled[0][1]) if filled else []


def decode_reply(message: bytes, *, call: InferCall, server: str) -> InferReply:
    """Return the tensors of a `ModelInferResponse` message, as read-only views.

    Parameters
    ----------
    message : bytes
    call : InferCall
        What was asked for.
    server : str
        Named in errors.

    Raises
    ------
    InvalidAnswerError
        If the message cannot be parsed, or is not an answer to the call: see
        `reply_of`.
    """
    return read_answer(
        partial(_reply, message, call, server),
        model=call.model_name,
        server=server,
        expected="a ModelInferResponse",
    )


def _reply(message: bytes, call: InferCall, server: str) -> InferReply:
    reply = service_pb2.ModelInferResponse.FromString(message)
    specs = [
        TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape))
        for tensor in reply.outputs
    ]
    contents: list[Content | None] = list(reply.raw_output_contents)
    if not contents:
        contents = [_typed_values(tensor) for tensor in reply.outputs]
    contents += [None] * (len(specs) - len(contents))
    return reply_of(
        zip(specs, contents, strict=False),
        call=call,
        version=reply.model_version,
        request_id=reply.id,
        server=server,
    )
