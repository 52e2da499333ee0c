"""A tensor's values as KServe writes them: little-endian, in row order."""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sonic_client.types import TensorSpec, datatype_of, numpy_dtype

__all__ = ["raw_values", "tensor_of"]

_IS_LITTLE = sys.byteorder == "little"


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


def tensor_of(spec: TensorSpec, content: bytes | memoryview) -> NDArray[Any]:
    """Return the tensor that bytes hold, as a view of them; ``BYTES`` as a copy.

    Raises
    ------
    ValueError
        If the bytes do not fill the shape, or the datatype is unknown.
    """
    if spec.datatype == "BYTES":
        return _decode_strings(spec, bytes(content))
    dtype = _wire_dtype(spec.datatype)
    if len(content) != math.prod(spec.shape) * dtype.itemsize:
        raise ValueError(f"{len(content)} bytes")
    return np.ndarray(spec.shape, dtype, buffer=content)


@cache
def _wire_dtype(datatype: str) -> np.dtype[Any]:
    return numpy_dtype(datatype).newbyteorder("<")


def _decode_strings(spec: TensorSpec, content: bytes) -> NDArray[Any]:
    array = np.empty(math.prod(spec.shape), dtype=object)
    start = 0
    for index in range(array.size):
        length = int.from_bytes(content[start : start + 4], "little")
        array[index] = content[start + 4 : start + 4 + length]
        start += 4 + length
    if start != len(content):
        raise ValueError(f"elements of {start} bytes in {len(content)} bytes")
    array.flags.writeable = False
    return array.reshape(spec.shape)
