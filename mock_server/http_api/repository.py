"""Repository index, load and unload over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from mock_server.core import InferenceCore
from mock_server.errors import ModelError
from mock_server.http_api.json_text import Json, internal, parse
from mock_server.http_api.reply import Reply


def answer(
    core: InferenceCore, action: str, fields: Mapping[str, str], body: bytes
) -> Reply:
    """Answer to ``index``, ``load`` or ``unload``; may take long.

    Raises
    ------
    ModelError
        As the repository does, or for a body that is no such request.
    """
    value = parse(body) if body else {}
    if action == "index":
        is_ready = _member(value, "ready", False)
        if not isinstance(is_ready, bool):
            raise internal("attempt to access JSON non-boolean as boolean")
        return Reply.json(_rows(core, only_ready=is_ready))
    if "repository" in fields:
        raise ModelError(
            grpc.StatusCode.UNIMPLEMENTED,
            "'repository_name' specification is not supported",
        )
    raise ModelError(
        grpc.StatusCode.UNAVAILABLE,
        "explicit model load / unload is not allowed if polling is enabled",
    )


def _rows(core: InferenceCore, *, only_ready: bool) -> list[dict[str, str]]:
    return [
        {"name": each.model.name, "version": each.model.version, "state": "READY"}
        for each in core.repository.all()
    ]


def _member(value: Json, name: str, default: Json) -> Json:
    return value.get(name, default) if isinstance(value, Mapping) else default
