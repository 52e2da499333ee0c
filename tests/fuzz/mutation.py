"""Valid inputs, changed: bytes, JSON texts and protobuf messages.

Everything is drawn from one `random.Random`, so a seed and a number say which input it
was. Values are changed to those at the edges of what formats and programs can hold.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Json = Any


class Raw(NamedTuple):
    """A piece of JSON text that need not be JSON."""

    text: str


class Pairs(NamedTuple):
    """A JSON object whose keys may occur twice."""

    items: Sequence[tuple[Json, Json]]


EDGE_INTEGERS = (
    *(0, 1, -1, 2, 3, 127, 255, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 2**45),
    *(2**53, 2**62, 2**63 - 1, -(2**63), 2**64 // 3 + 1, 2**64 - 1),
)
EDGE_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "a\nb",
        "../x",
        "/",
        "\x1b[2J",
        "é",
        "𝔘" * 5,
        "nan",
        "-1",
        "x" * 300,
    ),
    *("1" * 5000, "%00%ff", "{}", "٣", "\ufeff", "\u202e"),
)
RAW_JSON = tuple(
    Raw(text)
    for text in (
        *("1e999", "-1e999", "NaN", "-Infinity", "1" * 400, "9" * 5000, "-" * 3),
        *('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', "1e-400", "0x10", "01", "1."),
        *("[" * 90 + "]" * 90, "[" * 3000 + "]" * 3000, "[" * 3000, "'a'", "", "tru"),
        *('{"a":' * 2000 + "1" + "}" * 2000, '"\n"', '"\\x"', "18446744073709551616"),
        *("-0", "1.5", "4294967297", "1e5"),
    )
)
PLAIN_JSON = (None, True, False, {}, [], [[]], [None], {"": None}, "data", -0.0)
CHUNKS = (
    *(
        b"\xff" * 4,
        b"\0" * 8,
        b"\x80",
        b"-1",
        b"99999999999999999999",
        b"1e999",
        b"NaN",
    ),
    *(b"null", b"{}", b"[]", b'"', b",", b"\xed\xa0\x80", b"\r\n", b"\xff\xff\xff\x7f"),
)


class Mutator:
    """Changes inputs at random."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    def bytes(self, content: bytes, most: int = 4) -> bytes:
        """Flip, cut, repeat, zero or insert a few bytes."""
        draw, data = self.draw, bytearray(content)
        for _ in range(draw.randint(1, most)):
            at, length = draw.randrange(len(data) + 1), draw.randint(0, 9)
            match draw.randrange(6):
                case 0 if at < len(data):
                    data[at] ^= 1 << draw.randrange(8)
                case 1:
                    del data[at:]
                case 2:
                    data[at : at + length] = bytes(data[at : at + length]) * 2
                case 3:
                    data[at : at + length] = bytes(length)
                case 4:
                    data[at : at + length] = draw.choice(CHUNKS)
                case _:
                    data[at : at + length] = draw.randbytes(length)
        return bytes(data)

    def text(self) -> str:
        return self.draw.choice(EDGE_TEXTS)

    def integer(self) -> int:
        return self.draw.choice(EDGE_INTEGERS)

    def any_json(self) -> Json:
        draw = self.draw
        match draw.randrange(5):
            case 0:
                return draw.choice(PLAIN_JSON)
            case 1:
                return draw.choice(RAW_JSON)
            case 2:
                return self.text()
            case 3:
                return [self.integer() for _ in range(draw.randint(0, 4))]
            case _:
                return self.integer()

    def json(self, value: Json, most: int = 2) -> Json:
        """Change a few nodes of a JSON value, or add or take some."""
        for _ in range(self.draw.randint(1, most)):
            value = self._changed_node(value)
        return value

    def _changed_node(self, value: Json) -> Json:
        draw = self.draw
        if isinstance(value, dict):
            value = Pairs(tuple(value.items()))
        if isinstance(value, Pairs) and value.items and not self.chance(0.05):
            items = list(value.items)
            at = draw.randrange(len(items))
            key, inner = items[at]
            match draw.randrange(12):
                case 0:
                    del items[at]
                case 1:
                    items.insert(draw.randrange(len(items) + 1), (key, self.any_json()))
                case 2:
                    items[at] = (self.text(), inner)
                case 3:
                    items.append((draw.choice(WORDS), self.any_json()))
                case _:
                    items[at] = (key, self._changed_node(inner))
            return Pairs(tuple(items))
        if isinstance(value, list) and value and not self.chance(0.1):
            items = list(value)
            at = draw.randrange(len(items))
            match draw.randrange(8):
                case 0:
                    del items[at]
                case 1:
                    items.insert(at, items[at])
                case 2:
                    items.append(self.any_json())
                case _:
                    items[at] = self._changed_node(items[at])
            return items
        return self.any_json()

    def message(self, message: Message, most: int = 2) -> Message:
        """Return a copy of a message with a few fields changed."""
        changed = type(message)()
        changed.CopyFrom(message)
        for _ in range(self.draw.randint(1, most)):
            self._change_field(changed)
        return changed

    def _change_field(self, message: Message) -> None:
        draw = self.draw
        present = [field for field, _ in message.ListFields()]
        fields = message.DESCRIPTOR.fields
        if not fields:
            return
        each = (
            draw.choice(present)
            if present and self.chance(0.7)
            else draw.choice(fields)
        )
        if self.chance(0.1):
            message.ClearField(each.name)
            return
        is_message = each.message_type is not None
        if is_message and each.message_type.GetOptions().map_entry:
            self._change_map(getattr(message, each.name), each.message_type)
        elif each.is_repeated:
            self._change_list(getattr(message, each.name), each)
        elif is_message:
            inner = getattr(message, each.name)
            inner.SetInParent()
            self._change_field(inner)
        else:
            setattr(message, each.name, self._scalar(each))

    def _change_map(self, values: Any, entry: Any) -> None:
        key_field, value_field = (entry.fields_by_name[n] for n in ("key", "value"))
        key: Any = self._scalar(key_field)
        if values and self.chance(0.6):
            key = self.draw.choice(sorted(values))
        elif key_field.cpp_type == FieldDescriptor.CPPTYPE_STRING and self.chance(0.8):
            key = self.draw.choice(WORDS)
        if value_field.message_type is not None:
            self._change_field(values[key])
        else:
            values[key] = self._scalar(value_field)

    def _change_list(self, values: Any, field: FieldDescriptor) -> None:
        draw = self.draw
        at = draw.randrange(len(values)) if values else 0
        is_message = field.message_type is not None
        match draw.randrange(4):
            case 0 if values:
                del values[at]
            case 1 if values:
                values.append(values[at])
            case 2 if values and is_message:
                self._change_field(values[at])
            case 2 if values:
                values[at] = self._scalar(field)
            case _ if is_message:
                self._change_field(values.add())
            case _:
                values.extend(self._scalar(field) for _ in range(draw.randint(1, 3)))

    def _scalar(self, field: FieldDescriptor) -> Any:
        draw = self.draw
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
                return draw.choice((b"", *CHUNKS, draw.randbytes(draw.randint(0, 40))))
            case FieldDescriptor.CPPTYPE_STRING:
                return draw.choice(WORDS) if self.chance(0.3) else self.text()
            case FieldDescriptor.CPPTYPE_BOOL:
                return self.chance(0.5)
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return draw.choice((0.0, -1.0, 1e38, float("nan"), float("inf"), 1e-45))
            case FieldDescriptor.CPPTYPE_ENUM:
                return draw.choice((0, 1, 2, 13, 77))
            case kind:
                bits, is_signed = _INTEGERS[kind]
                number = self.integer() % 2**bits
                return (
                    number - 2**bits if is_signed and number >> (bits - 1) else number
                )


_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (32, True),
    FieldDescriptor.CPPTYPE_UINT32: (32, False),
    FieldDescriptor.CPPTYPE_INT64: (64, True),
    FieldDescriptor.CPPTYPE_UINT64: (64, False),
}

WORDS: tuple[str, ...] = (
    *("sequence_id", "sequence_start", "sequence_end", "priority", "timeout"),
    *("triton_enable_empty_final_response", "triton_x", "binary_data_output"),
    *("binary_data", "binary_data_size", "classification", "shared_memory_region"),
    *("shared_memory_offset", "shared_memory_byte_size", "config", "file:1/model.py"),
    *("unload_dependents", "FP32", "FP16", "BF16", "BYTES", "INT64", "BOOL", "UINT8"),
    *("X", "Y", "TEXT", "data", "parameters", "id", "outputs", "fuzz", "1", "shape"),
)
"""Names that the protocols give a meaning."""


def json_text(value: Json) -> bytes:
    """Write a JSON value with `Raw` and `Pairs` in it."""
    return _written(value).encode("utf-8", "surrogatepass")


def _written(value: Json) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        value = Pairs(tuple(value.items()))
    if isinstance(value, Pairs):
        members = [f"{_written(key)}:{_written(inner)}" for key, inner in value.items]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return json.dumps(value, ensure_ascii=False)
