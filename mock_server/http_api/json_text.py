"""JSON as Triton reads and writes it, with its words for what is wrong.

Triton parses with RapidJSON, and so does this: positions and texts of parse errors come
from the same library. Access errors: ``triton_json.h`` of triton-inference-server's
common.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import grpc
import rapidjson

from mock_server.errors import ModelError

# Any: what a client sent, of whatever type.
Json = Any

_PARSE_ERROR = re.compile(r"Parse error at offset (\d+): (.*)", re.DOTALL)
_EXPONENT = re.compile(r"(-?)(\d)(?:\.(\d+))?e([+-])(\d+)")


def internal(text: str) -> ModelError:
    """INTERNAL: what Triton makes of JSON it cannot read."""
    return ModelError(grpc.StatusCode.INTERNAL, text)


def parse(text: bytes, what: str = "request") -> Json:
    """Value of a JSON text; NaN and Infinity are numbers.

    Raises
    ------
    ModelError
        INTERNAL, with RapidJSON's words.
    """
    try:
        return rapidjson.loads(text, number_mode=rapidjson.NM_NAN)
    except (ValueError, RecursionError) as error:
        match = _PARSE_ERROR.match(str(error))
        problem = f"{match[2]} at {match[1]}" if match else str(error)
        raise internal(f"failed to parse the {what} JSON buffer: {problem}") from error


def member(value: Json, name: str) -> Json:
    """Member of an object.

    Raises
    ------
    ModelError
        INTERNAL, if it has none of this name.
    """
    if not isinstance(value, Mapping) or name not in value:
        raise _unparsed(name, f"attempt to access non-existing object member '{name}'")
    return value[name]


def string_member(value: Json, name: str) -> str:
    """Member that is a text.

    Raises
    ------
    ModelError
        INTERNAL, if there is none or it is something else.
    """
    found = member(value, name)
    if not isinstance(found, str):
        raise _unparsed(name, "attempt to access JSON non-string as string")
    return found


def array_member(value: Json, name: str) -> list[Json]:
    """Member that is an array.

    Raises
    ------
    ModelError
        INTERNAL, if there is none or it is something else.
    """
    found = member(value, name)
    if not isinstance(found, list):
        raise _unparsed(name, "attempt to access JSON non-array as array")
    return found


def unsigned_member(value: Json, name: str) -> int:
    """Member that is a number of 64 bits without a sign.

    Raises
    ------
    ModelError
        INTERNAL, if there is none or it is something else.
    """
    return as_unsigned(member(value, name), name)


def as_unsigned(value: Json, name: str, *, verb: str = "parse") -> int:
    """A number of 64 bits without a sign.

    Raises
    ------
    ModelError
        INTERNAL, if it is something else.
    """
    if type(value) is not int or not 0 <= value < 2**64:
        raise internal(
            f"Unable to {verb} '{name}': attempt to access JSON non-unsigned-integer "
            "as unsigned-integer"
        )
    return value


def bool_member(value: Json, name: str) -> bool:
    """Member that is true or false.

    Raises
    ------
    ModelError
        INTERNAL, if there is none or it is something else.
    """
    found = member(value, name)
    if not isinstance(found, bool):
        raise _unparsed(name, "attempt to access JSON non-boolean as boolean")
    return found


def _unparsed(name: str, problem: str) -> ModelError:
    return internal(f"Unable to parse '{name}': {problem}")


def fail_to_parse(name: str, problem: str) -> NoReturn:
    """Raise Triton's error for a member that is not what it should be."""
    raise _unparsed(name, problem)


def dump(value: Json) -> bytes:
    """JSON text without blanks; undecodable bytes of strings pass unchanged.

    A string made with ``surrogateescape`` gets its bytes back, as Triton writes strings
    of a model unchecked.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def dump_numbers(values: Sequence[float]) -> bytes:
    """Array of numbers, as RapidJSON's writer prints them.

    Python and RapidJSON both print the shortest text that reads back the same, but
    write exponents differently.
    """
    text: str = rapidjson.dumps(values, number_mode=rapidjson.NM_NAN)
    return _EXPONENT.sub(_as_rapidjson, text).encode()


def _as_rapidjson(match: re.Match[str]) -> str:
    """``Prettify`` of rapidjson/internal/dtoa.h: plain from 1e-6 to 1e21."""
    sign, first, rest, exponent_sign, exponent = match.groups(default="")
    digits = first + rest
    point = 1 + int(exponent_sign + exponent)  # digits before the point
    if len(digits) <= point <= 21:
        return f"{sign}{digits.ljust(point, '0')}.0"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = f"{first}.{rest}" if rest else first
    return f"{sign}{mantissa}e{point - 1}"


def member_or(value: Json, name: str, default: Json) -> Json:
    """Member of an object, or a default if there is none of this name."""
    return value[name] if isinstance(value, Mapping) and name in value else default
