"""Arrays to and from the bytes and typed fields that KServe v2 carries.

The wire form is little-endian and row-major. BYTES elements are a 4-byte length and
the bytes themselves. numpy has no bfloat16, so BF16 tensors are float32 arrays here.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ELEMENT_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "BOOL": 1,
        "UINT8": 1,
        "UINT16": 2,
        "UINT32": 4,
        "UINT64": 8,
        "INT8": 1,
        "INT16": 2,
        "INT32": 4,
        "INT64": 8,
        "FP16": 2,
        "BF16": 2,
        "FP32": 4,
        "FP64": 8,
    }
)
"""Bytes per element; BYTES is missing, because its elements differ in length."""

DATATYPES = frozenset(ELEMENT_BYTES) | {"BYTES"}

_WIRE_DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_DATATYPE_OF = {np.dtype(code).str[1:]: name for name, code in _WIRE_DTYPES.items()}
_LENGTH = struct.Struct("<I")
_WORD = 2**64
_MAX_DIMENSIONS = 64
"""Of numpy's arrays."""


class RawTensor(NamedTuple):
    """A named tensor in wire form, which both protocols share."""

    name: str
    datatype: str  #: KServe's name; in a request it may be any text
    shape: tuple[int, ...]  #: as sent, batch dimension included
    data: bytes  #: wire form; empty in a response if it went to shared memory


def element_count(shape: Iterable[int]) -> int:
    """Number of elements of a tensor: 1 for a scalar, 0 if a dimension is 0.

    Counted in signed 64 bits, as Triton does: a larger product wraps. The exact product
    of all dimensions that fit into one message could take minutes.
    """
    count = 1
    for dim in shape:
        count = count * dim % _WORD
    return count if count < _WORD // 2 else count - _WORD


def datatype_of(array: NDArray[Any]) -> str:
    """KServe's name of an array's element type, whatever its byte order.

    Raises
    ------
    TypeError
        If no datatype of the protocol holds such elements.
    """
    datatype = _DATATYPE_OF.get(array.dtype.str[1:])
    if datatype is not None:
        return datatype
    if array.dtype.kind in "OSU":
        return "BYTES"
    if array.dtype.name == "bfloat16":  # ml_dtypes
        return "BF16"
    raise TypeError(f"no KServe datatype for arrays of {array.dtype}")


def encode(array: NDArray[Any], datatype: str) -> bytes:
    """Return the wire form of `array`, a copy.

    Parameters
    ----------
    array : ndarray
        Any layout and byte order; strings as bytes or as text, which becomes UTF-8.
    datatype : str
        ``datatype_of(array)``, or BF16 for a float32 array, which is then rounded to
        nearest, ties to even.
    """
    if datatype == "BYTES":
        return pack_strings(array.ravel().tolist())
    if datatype == "BF16":
        return _round_to_bfloat16(array.astype(np.float32)).tobytes()
    return array.astype(_WIRE_DTYPES[datatype], copy=False).tobytes()


def decode(data: bytes, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Return wire-form data as an array, a writable copy.

    Parameters
    ----------
    data : bytes
        Exactly as many bytes as `datatype` and `shape` require.
    datatype : str
        One of `DATATYPES`. BF16 gives float32, BYTES an object array of bytes.
    shape : sequence of int
        No negative dimension; a dimension of 0 needs no data.

    Raises
    ------
    ValueError
        If the data does not fill the shape exactly.
    """
    if datatype == "BYTES":
        found = unpack_strings(data)
        # As many as there are: a shape may claim more than there is memory for.
        strings = np.empty(len(found), dtype=object)
        strings[:] = found
        return strings.reshape(shape)
    if datatype == "BF16":
        halves = np.frombuffer(data, dtype="<u2").astype(np.uint32)
        return (halves << np.uint32(16)).view(np.float32).reshape(shape)
    # Not `copy`: numpy releases the GIL for it, and on a busy server the other threads
    # would run before the model does.
    return np.frombuffer(bytearray(data), dtype=_WIRE_DTYPES[datatype]).reshape(shape)


def check_filled(tensor: RawTensor) -> None:
    """Compare a tensor's data with its shape, without copying it.

    Raises
    ------
    ValueError
        If `decode` would.
    """
    name, datatype, shape, data = tensor
    if len(shape) > _MAX_DIMENSIONS or any(dim < 0 for dim in shape):
        raise ValueError(f"tensor {name!r} has a shape that no array has")
    if datatype not in DATATYPES:
        raise ValueError(f"tensor {name!r} has the datatype {datatype[:99]!r}")
    n_elements = math.prod(shape)
    found = (
        len(unpack_strings(data))
        if datatype == "BYTES"
        else len(data) / ELEMENT_BYTES[datatype]
    )
    if found != n_elements:
        raise ValueError(
            f"tensor {name!r}: expected {n_elements} elements, got {found:g}"
        )


def pack_strings(strings: Iterable[object]) -> bytes:
    """Return the wire form of BYTES elements; anything but bytes as its text."""
    encoded = [s if isinstance(s, bytes) else str(s).encode() for s in strings]
    return b"".join(part for s in encoded for part in (_LENGTH.pack(len(s)), s))


def unpack_strings(data: bytes) -> list[bytes]:
    """Elements of a BYTES tensor, from its wire form.

    Raises
    ------
    ValueError
        If the data ends inside an element.
    """
    strings, position = [], 0
    while position < len(data):
        start = position + _LENGTH.size
        if start > len(data):
            raise ValueError(f"string length cut off at byte {position}")
        position = start + _LENGTH.unpack_from(data, start - _LENGTH.size)[0]
        if position > len(data):
            raise ValueError(f"string cut off at byte {start}")
        strings.append(data[start:position])
    return strings


def encode_wrapped(values: Sequence[int | float], datatype: str) -> bytes:
    """Wire form of typed contents; integers out of range wrap, as Triton's do."""
    if datatype.startswith(("INT", "UINT")):
        wide = "<u8" if datatype == "UINT64" else "<i8"
        return np.array(values, dtype=wide).astype(_WIRE_DTYPES[datatype]).tobytes()
    return np.array(values, dtype=_WIRE_DTYPES[datatype]).tobytes()


def _round_to_bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = array.view(np.uint32)
    # Add half a unit in the last kept place, less one where that place is even. A NaN
    # would overflow into another number: truncate it, and keep it a quiet NaN.
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    kept = np.where(np.isnan(array), bits | np.uint32(0x00400000), rounded)
    return (kept >> np.uint32(16)).astype("<u2")
