"""Repository, shared memory and settings over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from mock_server.core.inference_core import InferenceCore
from mock_server.errors import ModelError, invalid
from mock_server.http_api.json_text import Json, internal, parse
from mock_server.http_api.reply import Reply
from mock_server.log_settings import DEFAULTS, LogValue

_NOT_A_STRING = "attempt to access JSON non-string as string"


def shared_memory(
    core: InferenceCore, *, kind: str, verb: str, region: str, body: bytes
) -> Reply:
    """Status of regions, or register or unregister one; `kind` is system or cuda.

    Raises
    ------
    ModelError
        As `SharedMemory` does, or for a body that is no such request.
    """
    memory = core.shared_memory
    if verb == "unregister":
        if kind == "system":
            memory.unregister(region)
        return Reply()
    if verb == "register":
        _register(core, kind=kind, region=region, body=body)
        return Reply()
    if kind == "cuda":
        memory.cuda_status(region)
        return Reply.json([])
    return Reply.json(
        [
            {
                "name": each.name,
                "key": each.key,
                "offset": each.offset,
                "byte_size": each.byte_size,
            }
            for each in memory.status(region)
        ]
    )


def _register(core: InferenceCore, *, kind: str, region: str, body: bytes) -> None:
    if not region:
        raise invalid(
            f"'region name' is necessary to register {kind} shared memory region"
        )
    value = parse(body)
    key = "key" if kind == "system" else "raw_handle"
    for name in (key, "byte_size"):
        if not isinstance(value, Mapping) or name not in value:
            raise invalid(f"Shared memory register request has no '{name}' field")
    if kind == "cuda":
        raise invalid("'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t")
    if not isinstance(value["key"], str):
        raise internal(_NOT_A_STRING)
    offset = _unsigned(value.get("offset", 0))
    core.shared_memory.register(
        region, value["key"], offset, _unsigned(value["byte_size"])
    )


def _unsigned(value: Json) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise internal(
            "attempt to access JSON non-unsigned-integer as unsigned-integer"
        )
    return value


def trace(core: InferenceCore, method: str, model: str, body: bytes) -> Reply:
    """Trace settings, changed first by a POST; null clears one.

    Raises
    ------
    ModelError
        As `InferenceCore.update_trace` does, or for a body that is no such request.
    """
    changes: dict[str, list[str]] = {}
    if method == "POST":
        value = parse(body)
        for name in value if isinstance(value, Mapping) else ():
            changes[name] = _trace_values(name, value[name])
    core.update_trace(changes, model)
    settings = core.trace.of(model)
    order = ("trace_level", "trace_rate", "trace_count", "log_frequency", "trace_file")
    return Reply.json(
        {
            name: list(settings[name]) if name == "trace_level" else settings[name][0]
            for name in (*order, "trace_mode")
        }
    )


def _trace_values(name: str, value: Json) -> list[str]:
    if value is None:
        return []
    if name == "trace_level":
        if not isinstance(value, list):
            raise internal("attempt to access JSON non-array as array")
        values = value
    elif name in {"trace_rate", "trace_count", "log_frequency"}:
        values = [value]
    else:
        return [str(value)]
    if not all(isinstance(each, str) for each in values):
        raise internal(_NOT_A_STRING)
    return values


def logging_settings(core: InferenceCore, method: str, body: bytes) -> Reply:
    """Log settings, changed first by a POST.

    Raises
    ------
    ModelError
        As `LogSettings.update` does, or for a body that is no such request.
    """
    if method == "POST":
        value = parse(body)
        changes = {
            name: _log_value(name, value[name])
            for name in (value if isinstance(value, Mapping) else ())
            if name in DEFAULTS
        }
        if changes.get("log_format") not in {None, "default", "ISO8601"}:
            raise ModelError(
                grpc.StatusCode.UNAVAILABLE,
                f"invalid argument for --log_format, got: {changes['log_format']}",
            )
        core.log.update(changes)
    return Reply.json(core.log.now())


def _log_value(name: str, value: Json) -> LogValue:
    kind = type(DEFAULTS[name])
    if kind is int:
        return _unsigned(value)
    if not isinstance(value, kind):
        name_of_kind = {bool: "boolean", str: "string"}[kind]
        raise internal(f"attempt to access JSON non-{name_of_kind} as {name_of_kind}")
    return value
