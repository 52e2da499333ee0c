"""JSON texts, members and tensors, with Triton's words for what is wrong with them.

Rules: ``triton_json.h`` of triton-inference-server's common, ``ReadDataFromJson`` and
``WriteDataToJson`` of ``src/http_server.cc`` in its server.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from mock_server.errors import internal, invalid
from mock_server.profiles import Profile
from mock_server.wire.codec import (
    RawTensor,
    decode,
    element_count,
    encode_wrapped,
    pack_strings,
    unpack_strings,
)

Json = Any
"""A value of any JSON type, as a client sent it."""

ValueT = TypeVar("ValueT")

# Any: a type that `isinstance` accepts.
_NAMES: dict[Any, str] = {
    str: "string",
    list: "array",
    bool: "boolean",
    int: "unsigned-integer",
    dict: "object",
}
_HALVES = ("FP16", "BF16")

MAX_INTEGER_DIGITS = 20
"""Digits, with a sign, of the largest integers of 64 bits."""


class JsonObject(dict[str, Json]):
    """An object; of a key that occurs twice the first value counts."""

    def __init__(self, pairs: list[tuple[str, Json]]) -> None:
        super().__init__()
        self.repeated: set[str] = set()
        """Keys that occur more than once."""
        for key, value in pairs:
            if key in self:
                self.repeated.add(key)
            else:
                self[key] = value


def parse(text: bytes) -> Json:
    """Parse a JSON text; NaN and Infinity are numbers.

    Raises
    ------
    ModelError
        INTERNAL.
    """
    try:
        # Decoded here: `json` takes other encodings, and half characters, which no
        # answer could repeat.
        decoded = text.decode()
        value = json.loads(
            decoded,
            object_pairs_hook=JsonObject,
            parse_float=_finite,
            parse_int=_integer,
        )
        if "\\u" in decoded:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise internal(f"failed to parse the request JSON buffer: {error}") from error
    return value


def _finite(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):  # the words Infinity and NaN do not come here
        raise ValueError("number too big to be stored in double")
    return value


def _integer(literal: str) -> int | float:
    """Return an integer, or the double that Triton makes of one beyond 64 bits."""
    if len(literal) <= MAX_INTEGER_DIGITS:
        return int(literal)
    return _finite(literal)


def typed(value: Json, kind: type[ValueT], where: str = "") -> ValueT:
    """Check the JSON type of a value; ``int`` stands for unsigned 64-bit numbers.

    Raises
    ------
    ModelError
        INTERNAL; the text starts with `where`.
    """
    is_right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if kind is int and is_right:
        is_right = 0 <= value < 2**64
    if not is_right:
        name = _NAMES[kind]
        raise internal(f"{where}attempt to access JSON non-{name} as {name}")
    return cast(ValueT, value)


def member(value: Json, name: str, kind: type[ValueT]) -> ValueT:
    """Member of an object.

    Raises
    ------
    ModelError
        INTERNAL if it is missing or of another type.
    """
    where = f"Unable to parse '{name}': "
    if not isinstance(value, dict) or name not in value:
        raise internal(f"{where}attempt to access non-existing object member '{name}'")
    return typed(value[name], kind, where)


def dump(value: Json) -> bytes:
    """JSON text without blanks.

    A string decoded with ``surrogateescape`` gets its bytes back, because Triton writes
    strings of a model unchecked.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def data_of_json(
    value: Json,
    *,
    name: str,
    datatype: str,
    shape: tuple[int, ...],
    profile: Profile,
) -> bytes:
    """Wire form of an input's ``data``, nested in any way.

    Integers out of the datatype's range wrap.

    Raises
    ------
    ModelError
        INTERNAL if an element has another type, or their number does not fit the shape;
        INVALID_ARGUMENT for half precision, which JSON cannot carry, and for data
        that is nested too deep for the profile.
    """
    if datatype in _HALVES:
        raise invalid(
            f"receiving {datatype} data via JSON is not supported. Please use the "
            f"binary data format for input {name}"
        )
    max_depth = profile.max_json_depth
    if max_depth is not None and _depth(value) >= max_depth:
        where = "" if datatype == "BYTES" else "Unable to parse 'data': "
        raise invalid(
            f"{where}JSON nesting depth exceeds maximum allowed limit ({max_depth})"
        )
    values = list(_flat(value))
    expected = element_count(shape)
    _check_elements(values[:expected], datatype)
    if len(values) != expected:
        raise internal(
            "Unable to parse 'data': Shape does not match true shape of 'data' field"
        )
    if datatype == "BYTES":
        return pack_strings(each.encode("utf-8", "replace") for each in values)
    return encode_wrapped(values, datatype)


def _flat(value: Json) -> Iterator[Any]:
    # A stack instead of recursion: a client chooses the depth.
    stack = [iter((value,))]
    while stack:
        for each in stack[-1]:
            if isinstance(each, list):
                stack.append(iter(each))
                break
            yield each
        else:
            stack.pop()


def _depth(value: Json) -> int:
    """The number of arrays around the innermost element, or array without elements."""
    depth, level = 0, [value]
    while nested := [each for each in level if isinstance(each, list)]:
        level = [element for each in nested for element in each]
        if not level:
            return depth
        depth += 1
    return depth


def _check_elements(values: list[Any], datatype: str) -> None:
    types = set(map(type, values))
    if datatype == "BYTES":
        name, is_right = "string", types <= {str}
    elif datatype == "BOOL":
        name, is_right = "boolean", types <= {bool}
    elif datatype.startswith("FP"):
        name, is_right = "number", types <= {int, float}
    else:
        is_signed = datatype.startswith("INT")
        name = "signed-integer" if is_signed else "unsigned-integer"
        low, high = (-(2**63), 2**63) if is_signed else (0, 2**64)
        is_right = types <= {int} and (
            not values or (low <= min(values) and max(values) < high)
        )
    if not is_right:
        raise internal(
            f"Unable to parse 'data': attempt to access JSON non-{name} as {name}"
        )


def json_of_data(tensor: RawTensor) -> list[Any]:
    """Elements of an output as a flat list of JSON values.

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
        return [
            each.decode("utf-8", "surrogateescape")
            for each in unpack_strings(tensor.data)
        ]
    return decode(tensor.data, tensor.datatype, tensor.shape).ravel().tolist()
