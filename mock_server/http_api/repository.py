"""Repository index, load and unload over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from mock_server.core.inference_core import InferenceCore
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
    name = fields["model"]
    if action == "unload":
        parameters = _parameters(value)
        core.repository.unload(
            name, with_dependents=parameters.get("unload_dependents") is True
        )
        return Reply()
    config = None
    for key, parameter in _parameters(value).items():
        if key != "config":
            raise internal("unexpected error on creating Triton parameter")
        if not isinstance(parameter, str):
            raise internal("attempt to access JSON non-string as string")
        config = parameter
    core.repository.load(name, config)
    return Reply()


def _rows(core: InferenceCore, *, only_ready: bool) -> list[dict[str, str]]:
    """Rows of the index; keys without a value are left out."""
    return [
        {key: value for key, value in row._asdict().items() if value}
        for row in core.repository.index(only_ready=only_ready)
    ]


def _parameters(value: Json) -> Mapping[str, Json]:
    parameters = _member(value, "parameters", {})
    if not isinstance(parameters, Mapping):
        raise internal("attempt to access JSON non-object as object")
    return parameters


def _member(value: Json, name: str, default: Json) -> Json:
    return value.get(name, default) if isinstance(value, Mapping) else default
