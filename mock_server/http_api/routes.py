"""Paths of the HTTP API, what they ask for, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from mock_server.http_api.reply import JSON, TEXT


class Route(NamedTuple):
    """A path that was recognised."""

    action: str
    rpc: str  #: gRPC's name of the same, by which faults are planned
    method: str  #: None other is allowed
    refusal_type: str  #: content type of the answer to another method
    fields: Mapping[
        str, str
    ]  #: model, version, region, ... as far as the path has them


# Source of the patterns: HTTPAPIServer of src/http_server.cc in
# triton-inference-server/server. A version is digits there, so any other is no path.
_MODEL = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[0-9]+))?"
_REPOSITORY = r"/v2/repository(?:/(?P<repository>[^/]+))?"
_REGION = r"(?:/region/(?P<region>[^/]+))?"
_TABLE = (
    ("infer", "ModelInfer", "POST", TEXT, _MODEL + "/infer"),
    ("generate", "ModelInfer", "POST", JSON, _MODEL + "/generate"),
    ("generate_stream", "ModelInfer", "POST", JSON, _MODEL + "/generate_stream"),
    ("live", "ServerLive", "GET", TEXT, "/v2/health/live"),
    ("ready", "ServerReady", "GET", TEXT, "/v2/health/ready"),
    ("model_ready", "ModelReady", "GET", TEXT, _MODEL + "/ready"),
    ("all_statistics", "ModelStatistics", "GET", JSON, "/v2/models/stats"),
    ("statistics", "ModelStatistics", "GET", JSON, _MODEL + "/stats"),
    ("config", "ModelConfig", "GET", JSON, _MODEL + "/config"),
    ("trace", "TraceSetting", "", JSON, _MODEL + "/trace/setting"),
    ("metadata", "ModelMetadata", "GET", JSON, _MODEL),
    ("server_metadata", "ServerMetadata", "GET", JSON, "/v2"),
    ("index", "RepositoryIndex", "POST", JSON, _REPOSITORY + "/index"),
    (
        "load",
        "RepositoryModelLoad",
        "POST",
        JSON,
        _REPOSITORY + "/models/(?P<model>[^/]+)/load",
    ),
    (
        "unload",
        "RepositoryModelUnload",
        "POST",
        JSON,
        _REPOSITORY + "/models/(?P<model>[^/]+)/unload",
    ),
    (
        "system_memory",
        "SystemSharedMemory{}",
        "",
        JSON,
        f"/v2/systemsharedmemory{_REGION}/(?P<verb>status|register|unregister)",
    ),
    (
        "cuda_memory",
        "CudaSharedMemory{}",
        "",
        JSON,
        f"/v2/cudasharedmemory{_REGION}/(?P<verb>status|register|unregister)",
    ),
    ("trace", "TraceSetting", "", JSON, "/v2/trace/setting"),
    ("logging", "LogSettings", "", JSON, "/v2/logging"),
)
_PATTERNS = tuple((*row[:4], re.compile(row[4])) for row in _TABLE)


def route_of(path: str) -> Route | None:
    """What a path asks for; None if it is none of the API's."""
    for action, rpc, method, refusal_type, pattern in _PATTERNS:
        match = pattern.fullmatch(path)
        if match is not None:
            fields = {k: v for k, v in match.groupdict().items() if v is not None}
            verb = fields.get("verb", "")
            if verb:
                method = "GET" if verb == "status" else "POST"  # noqa: PLW2901
            return Route(
                action, rpc.format(verb.capitalize()), method, refusal_type, fields
            )
    return None
