"""A configuration as the JSON that Triton writes of it."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


# Any: JSON, and scalars of protobuf.
def json_of_message(message: Message) -> dict[str, Any]:
    """Every field in the order of its declaration, defaults written out.

    A message within it appears only if it is set. Unlike protobuf's own JSON, numbers
    of 64 bits are numbers.
    """
    fields: dict[str, Any] = {}
    for each in message.DESCRIPTOR.fields:
        value = getattr(message, each.name)
        if _is_map(each):
            fields[each.name] = {
                str(key): _json_of_value(each.message_type.fields[1], value[key])
                for key in sorted(value)
            }
        elif each.is_repeated:
            fields[each.name] = [_json_of_value(each, item) for item in value]
        elif not each.has_presence or message.HasField(each.name):
            fields[each.name] = _json_of_value(each, value)
    return fields


def _is_map(each: FieldDescriptor) -> bool:
    kind = each.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _json_of_value(each: FieldDescriptor, value: Any) -> Any:
    if each.message_type is not None:
        return json_of_message(value)
    if each.enum_type is not None:
        return each.enum_type.values_by_number[value].name
    return value
