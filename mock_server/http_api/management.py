"""Descriptions, repository and shared memory over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from mock_server.core.descriptions import metadata_response, statistics_message
from mock_server.core.inference_core import InferenceCore
from mock_server.errors import internal, invalid
from mock_server.http_api.json_values import Json, member, parse, typed
from mock_server.http_api.replies import Reply
from mock_server.model.config import config_of
from mock_server.model.config_message import as_json


def description(core: InferenceCore, what: str, model: str, version: str) -> Reply:
    """Server or model metadata, a configuration, or statistics.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if what == "server_metadata":
        profile = core.profile
        return Reply.json(
            {
                "name": profile.server,
                "version": profile.version,
                "extensions": profile.extensions,
            }
        )
    if what == "metadata":
        found = core.repository.versions(model, version)
        versions = [loaded.model.version for loaded in found]
        return Reply.json(as_json(metadata_response(found[-1].model, versions)))
    if what == "config":
        loaded = core.repository.find(model, version)
        return Reply.json(as_json(config_of(loaded.model)))
    rows = [
        statistics_message(loaded.model, loaded.statistics.snapshot())
        for loaded in core.repository.counted(model, version)
    ]
    return Reply.json({"model_stats": [as_json(row) for row in rows]})


def repository(core: InferenceCore, action: str, model: str, body: bytes) -> Reply:
    """Answer ``index``, ``load`` or ``unload``; may take long.

    Raises
    ------
    ModelError
        As the repository does, or for a body of another form.
    """
    value = parse(body) if body else {}
    value = value if isinstance(value, dict) else {}
    if action == "index":
        only_ready = typed(value.get("ready", False), bool)
        rows = core.repository.index(only_ready=only_ready)
        # Keys without a value are left out.
        return Reply.json([{k: v for k, v in r._asdict().items() if v} for r in rows])
    parameters = typed(value.get("parameters", {}), dict)
    if action == "unload":
        with_dependents = parameters.get("unload_dependents") is True
        core.repository.unload(model, with_dependents=with_dependents)
        return Reply()
    if set(parameters) - {"config"}:
        raise internal("unexpected error on creating Triton parameter")
    config = typed(parameters["config"], str) if parameters else None
    core.repository.load(model, config)
    return Reply()


def shared_memory(
    core: InferenceCore, *, kind: str, verb: str, region: str, body: bytes
) -> Reply:
    """Status of regions, or register or unregister one; `kind` is system or cuda.

    Raises
    ------
    ModelError
        As `SharedMemory` does, or for a body of another form.
    """
    memory = core.shared_memory
    if verb != "status":
        memory.check_allowed()
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
    keys = ("name", "key", "offset", "byte_size")
    return Reply.json(
        [{key: getattr(each, key) for key in keys} for each in memory.status(region)]
    )


def _register(core: InferenceCore, *, kind: str, region: str, body: bytes) -> None:
    if not region:
        raise invalid(
            f"'region name' is necessary to register {kind} shared memory region"
        )
    value: Json = parse(body)
    for name in ("key" if kind == "system" else "raw_handle", "byte_size"):
        if not isinstance(value, Mapping) or name not in value:
            raise invalid(f"Shared memory register request has no '{name}' field")
    if kind == "cuda":
        raise invalid("'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t")
    core.shared_memory.register(
        region,
        member(value, "key", str),
        typed(value.get("offset", 0), int),
        member(value, "byte_size", int),
    )
