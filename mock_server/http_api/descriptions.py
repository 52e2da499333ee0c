"""Server, models and counters, as the JSON that Triton writes of them."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mock_server.core import EXTENSIONS, SERVER_NAME, SERVER_VERSION, InferenceCore
from mock_server.grpc_api import descriptions
from mock_server.http_api.json_text import Json
from mock_server.http_api.reply import Reply


def described(core: InferenceCore, what: str, model: str, version: str) -> Reply:
    """What ``server_metadata``, ``metadata``, ``config`` or ``statistics`` asks for.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if what == "server_metadata":
        return Reply.json(
            {"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": EXTENSIONS}
        )
    if what == "metadata":
        found = core.repository.versions(model, version)
        versions = [loaded.model.version for loaded in found]
        metadata = descriptions.metadata_response(found[-1].model, versions)
        return Reply.json(json_of_message(metadata))
    if what == "config":
        loaded = core.repository.find(model, version)
        answer = descriptions.config_response(loaded.model)
        return Reply.json(json_of_message(answer.config))
    rows = [
        descriptions.statistics_message(loaded.model, loaded.statistics.snapshot())
        for loaded in core.repository.counted(model, version)
    ]
    return Reply.json({"model_stats": [_statistics(row) for row in rows]})


def _statistics(row: Message) -> dict[str, Json]:
    """Counters of a model: Triton writes these by hand, in another order."""
    fields = json_of_message(row)
    last = ("response_stats", "batch_stats", "memory_usage")
    return {
        **{name: value for name, value in fields.items() if name not in last},
        **{name: fields[name] for name in last},
    }


def json_of_message(message: Message) -> dict[str, Json]:
    """Every field in the order of its declaration, defaults written out.

    A message within it appears only if it is set. Unlike protobuf's own JSON, numbers
    of 64 bits are numbers.
    """
    fields: dict[str, Json] = {}
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


# Any: a protobuf scalar or message.
def _json_of_value(each: FieldDescriptor, value: Any) -> Json:
    if each.message_type is not None:
        return json_of_message(value)
    if each.enum_type is not None:
        return each.enum_type.values_by_number[value].name
    return value
