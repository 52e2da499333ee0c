"""Tensors as JSON arrays, to and from wire form.

Rules and texts: ``ReadDataFromJson`` and ``WriteDataToJson`` of ``src/http_server.cc``
in triton-inference-server/server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mock_server.errors import invalid
from mock_server.http_api.json_text import (
    Json,
    dump,
    dump_numbers,
    fail_to_parse,
    internal,
)
from mock_server.wire.codec import (
    RawTensor,
    decode,
    element_count,
    encode_wrapped,
    pack_strings,
    unpack_strings,
)

_HALVES = ("FP16", "BF16")


def data_of_json(
    value: Json, *, name: str, datatype: str, shape: tuple[int, ...]
) -> bytes:
    """Wire form of an input's ``data``, which may be nested in any way.

    Integers out of the datatype's range wrap.

    Raises
    ------
    ModelError
        INTERNAL if an element is of another kind, or their number is not the shape's;
        INVALID_ARGUMENT for half precision, which JSON cannot carry.
    """
    if datatype in _HALVES:
        raise invalid(
            f"receiving {datatype} data via JSON is not supported. Please use the "
            f"binary data format for input {name}"
        )
    values = list(_flat(value))
    expected = element_count(shape)
    wrong = _first_wrong(values, datatype)
    if wrong is not None and wrong < expected:
        _fail_on_element(datatype)
    if len(values) != expected:
        fail_to_parse("data", "Shape does not match true shape of 'data' field")
    if datatype == "BYTES":
        return pack_strings(value.encode("utf-8", "replace") for value in values)
    return encode_wrapped(values, datatype)


def _flat(value: Json) -> Iterator[Any]:
    if not isinstance(value, list):
        yield value
        return
    for each in value:
        if isinstance(each, list):
            yield from _flat(each)
        else:
            yield each


def _first_wrong(values: list[Any], datatype: str) -> int | None:
    """Index of the first element that is none of this datatype."""
    kinds = set(map(type, values))
    if datatype == "BYTES":
        accepted: set[type] = {str}
    elif datatype == "BOOL":
        accepted = {bool}
    elif datatype.startswith("FP"):
        accepted = {int, float}
    else:
        accepted = {int}
    if kinds <= accepted and not (accepted == {int} and values):
        return None
    low, high = (0, 2**64) if datatype.startswith("UINT") else (-(2**63), 2**63)
    for index, value in enumerate(values):
        if type(value) not in accepted:
            return index
        if accepted == {int} and not low <= value < high:
            return index
    return None


def _fail_on_element(datatype: str) -> None:
    if datatype == "BYTES":
        raise internal(
            "Unable to parse JSON bytes array: attempt to access JSON non-string as "
            "string"
        )
    kind = {
        "B": "boolean as boolean",
        "U": "unsigned-integer as unsigned-integer",
        "I": "signed-integer as signed-integer",
        "F": "number as double",
    }[datatype[0]]
    fail_to_parse("data", f"attempt to access JSON non-{kind}")


def json_of_data(tensor: RawTensor) -> bytes:
    """Flat JSON array of an output.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for half precision.
    """
    if tensor.datatype in _HALVES:
        raise invalid(
            f"sending {tensor.datatype} data via JSON is not supported. Please use the "
            "binary data format for output"
        )
    if tensor.datatype == "BYTES":
        texts = [
            each.decode("utf-8", "surrogateescape")
            for each in unpack_strings(tensor.data)
        ]
        return dump(texts)
    values = decode(tensor.data, tensor.datatype, tensor.shape).ravel().tolist()
    return dump_numbers(values) if tensor.datatype.startswith("FP") else dump(values)
