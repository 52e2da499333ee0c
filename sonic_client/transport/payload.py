"""The part of a message that both wires share: tensor values, size limit, compression.

KServe writes a tensor's values little-endian, in row order.
"""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sonic_client.config import Compression, ServerConfig
from sonic_client.errors import InvalidAnswerError, Mismatch, RequestTooLargeError
from sonic_client.transport.base import CompressionReport, InferCall, InferReply
from sonic_client.types import TensorSpec, datatype_of, numpy_dtype, payload_bytes

__all__ = [
    "MAX_DIMENSIONS",
    "CompressionMeter",
    "Content",
    "check_message_size",
    "compressed",
    "json_values",
    "raw_values",
    "reply_of",
    "tensor_of",
]

# Of numpy's arrays.
MAX_DIMENSIONS = 64
# The length before each element of a BYTES tensor.
_PREFIX_BYTES = 4

_IS_LITTLE = sys.byteorder == "little"
_WINDOW_BITS = {"gzip": 31, "deflate": 15}

# Types of Python values by the kind of a numpy type. JSON has no NaN: some write null.
_NUMBERS: set[type] = {float, int, type(None)}
_TYPES_OF: dict[str, set[type]] = {
    "b": {bool},
    "i": {int},
    "u": {int},
    "f": _NUMBERS,
    "V": _NUMBERS,  # BF16
    "O": {str, bytes},
}

# gRPC does not report its compression, so every n-th message, from the first on, is
# compressed here to estimate the ratio.
_SAMPLE_EVERY_N = 64


def raw_values(array: NDArray[Any]) -> bytes | memoryview:
    """Return a tensor's values as bytes.

    A view of the array's memory where that is contiguous, little-endian and not
    ``BYTES``; else a copy.
    """
    if datatype_of(array.dtype) == "BYTES":
        return _encode_strings(array)
    if not (array.flags.c_contiguous and array.dtype.isnative and _IS_LITTLE):
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data


def _encode_strings(array: NDArray[Any]) -> bytes:
    parts: list[bytes] = []
    for element in array.flat:
        value = element.encode() if isinstance(element, str) else bytes(element)
        parts += (len(value).to_bytes(4, "little"), value)
    return b"".join(parts)


Content: TypeAlias = bytes | memoryview | list[Any]
"""A tensor's values: as bytes, or as Python values of its datatype, nested or not."""


def json_values(array: NDArray[Any]) -> list[Any]:
    """Return a tensor's values as JSON has them, in row order; ``BYTES`` are UTF-8."""
    if datatype_of(array.dtype) == "BYTES":
        return [
            each if isinstance(each, str) else bytes(each).decode()
            for each in array.flat
        ]
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    values: list[Any] = array.ravel().tolist()
    return values


def tensor_of(spec: TensorSpec, content: Content) -> NDArray[Any]:
    """Return the tensor in some bytes, as a view of them; ``BYTES`` as a copy.

    Raises
    ------
    ValueError
        If the values do not fill the shape, or are of another type, or the datatype is
        unknown.
    """
    # First, because the product of as many numbers as a message holds takes minutes.
    if len(spec.shape) > MAX_DIMENSIONS or min(spec.shape, default=0) < 0:
        raise ValueError("a shape that no array has")
    if isinstance(content, list):
        return _typed_tensor(spec, content)
    if spec.datatype == "BYTES":
        return _decode_strings(spec, bytes(content))
    dtype = _wire_dtype(spec.datatype)
    if len(content) != math.prod(spec.shape) * dtype.itemsize:
        raise ValueError(f"{len(content)} bytes")
    return np.ndarray(spec.shape, dtype, buffer=content)


def _typed_tensor(spec: TensorSpec, values: list[Any]) -> NDArray[Any]:
    given = np.array(values, dtype=object).ravel()
    dtype = spec.dtype
    unfit = {type(value) for value in given} - _TYPES_OF[dtype.kind]
    if unfit:
        raise ValueError(
            f"values of type {', '.join(sorted(t.__name__ for t in unfit))}"
        )
    try:
        array = given.astype(dtype)  # None becomes NaN
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if spec.datatype == "BYTES":
        array[:] = [v.encode() if isinstance(v, str) else v for v in given]
    if len(array) != math.prod(spec.shape):
        raise ValueError(f"{len(array)} values")
    array.flags.writeable = False
    return array.reshape(spec.shape)


@cache
def _wire_dtype(datatype: str) -> np.dtype[Any]:
    return numpy_dtype(datatype).newbyteorder("<")


def _decode_strings(spec: TensorSpec, content: bytes) -> NDArray[Any]:
    n_elements = math.prod(spec.shape)
    if _PREFIX_BYTES * n_elements > len(content):
        raise ValueError(f"{len(content)} bytes, too few for {n_elements} elements")
    array = np.empty(n_elements, dtype=object)
    start = 0
    for index in range(array.size):
        length = int.from_bytes(content[start : start + 4], "little")
        array[index] = content[start + 4 : start + 4 + length]
        start += 4 + length
    if start != len(content):
        raise ValueError(f"elements of {start} bytes in {len(content)} bytes")
    array.flags.writeable = False
    return array.reshape(spec.shape)


def reply_of(
    tensors: Iterable[tuple[TensorSpec, Content | None]],
    *,
    call: InferCall,
    version: str,
    request_id: str,
    server: str,
) -> InferReply:
    """Return a reply with the tensors as read-only views.

    Parameters
    ----------
    tensors : iterable of (TensorSpec, bytes or list)
        None for an output without values.
    call : InferCall
        What was asked for. Outputs that its model does not declare are left out; of
        those that it wants in shared memory the message has no values.
    version, request_id : str
        As the server writes them; the id may be missing.
    server : str

    Raises
    ------
    InvalidAnswerError
        If it is the answer to another call, or two tensors have one name, one is not
        of the declared type, or its bytes are missing or do not fill its shape.
    """
    if request_id and call.request_id and request_id != call.request_id:
        raise InvalidAnswerError(
            model=call.model_name,
            server=server,
            mismatches=[
                Mismatch("*", f"id {call.request_id!r}", f"{request_id[:99]!r}")
            ],
        )
    outputs: dict[str, NDArray[Any]] = {}
    placed: list[TensorSpec] = []
    mismatches: list[Mismatch] = []
    seen: dict[str, object] = {}
    for spec, content in tensors:
        declared = call.declared.get(spec.name, spec)
        if spec.name in seen:
            if seen[spec.name] != (spec, content):
                mismatches.append(Mismatch(spec.name, "one tensor", "two different"))
        elif declared is spec and call.declared:
            continue
        elif declared.datatype != spec.datatype or len(declared.shape) != len(
            spec.shape
        ):
            mismatches.append(Mismatch(spec.name, declared.form, spec.form[:99]))
        elif spec.name in call.output_regions:
            placed.append(spec)
        elif content is None:
            mismatches.append(Mismatch(spec.name, "values", "none"))
        else:
            try:
                outputs[spec.name] = tensor_of(spec, content)
            except ValueError as error:
                mismatches.append(Mismatch(spec.name, spec.form[:99], str(error)))
        seen[spec.name] = spec, content
    if mismatches:
        raise InvalidAnswerError(
            model=call.model_name, server=server, mismatches=mismatches
        )
    return InferReply(model_version=version, outputs=outputs, placed=tuple(placed))


def check_message_size(call: InferCall, server: ServerConfig) -> None:
    """Compare a call's tensors with the server's limit, without copying them.

    gRPC would find out too, after seconds of copying. The few hundred bytes around the
    tensors are not counted.

    Raises
    ------
    RequestTooLargeError
        If they are above it.
    """
    inline = call.inputs
    if call.input_regions:
        inline = {k: v for k, v in inline.items() if k not in call.input_regions}
    n_bytes = payload_bytes(inline)
    limit = server.max_message_bytes
    if n_bytes > limit:
        raise RequestTooLargeError(
            server=server.url,
            status="RESOURCE_EXHAUSTED",
            details=f"{n_bytes} bytes, the limit is {limit}",
            remedy="max_message_bytes; nothing was sent",
        )


def compressed(content: bytes, compression: Compression) -> bytes:
    """Return the content as gRPC and HTTP compress it; unchanged for ``none``."""
    if compression == "none":
        return content
    compressor = zlib.compressobj(wbits=_WINDOW_BITS[compression])
    return compressor.compress(content) + compressor.flush()


class CompressionMeter:
    """Measures the compression of one connection's requests.

    Parameters
    ----------
    compression : str

    Attributes
    ----------
    report : CompressionReport
    """

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._n_sent = 0
        self.report = CompressionReport()

    def compress(self, content: bytes) -> bytes:
        """Return the content compressed, and count it."""
        if self._compression == "none":
            return content
        started = time.perf_counter()
        shorter = compressed(content, self._compression)
        self.report += CompressionReport(
            n_messages=1,
            plain_bytes=len(content),
            wire_bytes=len(shorter),
            spent_s=time.perf_counter() - started,
        )
        return shorter

    def sample(self, content: bytes) -> None:
        """Estimate the compression of messages that gRPC compresses."""
        if self._compression == "none":
            return
        if self._n_sent % _SAMPLE_EVERY_N == 0:
            self.compress(content)
        self._n_sent += 1
