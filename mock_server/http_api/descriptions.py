"""Server, models and counters, as the JSON that Triton writes of them."""

from __future__ import annotations

from google.protobuf.message import Message

from mock_server.core.inference_core import (
    EXTENSIONS,
    SERVER_NAME,
    SERVER_VERSION,
    InferenceCore,
)
from mock_server.grpc_api import descriptions
from mock_server.http_api.json_text import Json
from mock_server.http_api.reply import Reply
from mock_server.model.config_message import as_json


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
        return Reply.json(as_json(metadata))
    if what == "config":
        loaded = core.repository.find(model, version)
        answer = descriptions.config_response(loaded.model)
        return Reply.json(as_json(answer.config))
    rows = [
        descriptions.statistics_message(loaded.model, loaded.statistics.snapshot())
        for loaded in core.repository.counted(model, version)
    ]
    return Reply.json({"model_stats": [_statistics(row) for row in rows]})


def _statistics(row: Message) -> dict[str, Json]:
    """Counters of a model: Triton writes these by hand, in another order."""
    fields = as_json(row)
    last = ("response_stats", "batch_stats", "memory_usage")
    return {
        **{name: value for name, value in fields.items() if name not in last},
        **{name: fields[name] for name in last},
    }
