"""A client's settings in CMSSW's names.

CMSSW has two parameter sets: ``Client`` of a producer, and ``TritonService`` with the
servers. Here they are tables of a TOML file, or dicts::

    [Client]
    modelName = "exatrkx"
    preferredServer = "purdue"
    timeout = 30
    allowedTries = 2

    [[TritonService.servers]]
    name = "purdue"
    address = "sonic.example.org"
    port = 8001

docs/cmssw.md has a table of the parameters and their equivalents.

Notes
-----
Names, types and defaults: ``fillPSetDescription`` of
``HeterogeneousCore/SonicTriton/src/TritonClient.cc``, ``fillDescriptions`` of
``.../src/TritonService.cc``, and ``HeterogeneousCore/SonicCore/src/SonicClientBase.cc``
in cms-sw/cmssw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sonic_base import ConfigError, TomlTable, config_from_mapping, nearest_names

__all__ = ["is_cmssw", "table_from_cmssw"]

SECONDS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6}


# The fields have CMSSW's names.
@dataclass(frozen=True, slots=True, kw_only=True)
class _Client:
    modelName: str
    timeout: int
    mode: Literal["Async", "PseudoAsync", "Sync"] = "PseudoAsync"
    allowedTries: int = 0
    modelVersion: str = ""
    modelConfigPath: str = ""
    preferredServer: str = ""
    timeoutUnit: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    verbose: bool = False
    useSharedMemory: bool = True
    compression: Literal["", "none", "deflate", "gzip"] = ""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    name: str
    address: str
    port: int
    useSsl: bool = False
    rootCertificates: str = ""
    privateKey: str = ""
    certificateChain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fallback:
    enable: bool = False
    debug: bool = False
    verbose: bool = False
    container: Literal["apptainer", "docker", "podman", "podman-hpc"] = "apptainer"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    retries: int = -1
    wait: int = -1
    instanceBaseName: str = "triton_server_instance"
    instanceName: str = ""
    tempDir: str = ""
    imageName: str = ""
    sandboxDir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    servers: tuple[_Server, ...] = ()
    fallback: _Fallback = field(default_factory=_Fallback)
    verbose: bool = False


def is_cmssw(content: Mapping[str, object]) -> bool:
    """Whether settings have CMSSW's tables."""
    return "Client" in content or "TritonService" in content


def table_from_cmssw(settings: TomlTable, *, where: str) -> TomlTable:
    """Convert CMSSW's parameters to the table of a `ClientConfig`.

    It holds only values that differ from our defaults.

    Raises
    ------
    ConfigError
        If a parameter is unknown, missing, or of the wrong type; or if the preferred
        server is none of the servers.
    """
    client = config_from_mapping(
        _Client, settings.get("Client", {}), where=f"{where}: Client"
    )
    service = config_from_mapping(
        _Service, settings.get("TritonService", {}), where=f"{where}: TritonService"
    )
    names = [server.name for server in service.servers]
    if client.preferredServer and client.preferredServer not in names:
        raise ConfigError(
            f"{where}: Client: preferredServer {client.preferredServer!r} is no server "
            f"of TritonService, {nearest_names(client.preferredServer, names)}"
        )
    return _given(
        {
            "servers": [_server(server, client) for server in service.servers],
            "model_name": client.modelName,
            "model_version": client.modelVersion,
            # 0 means no deadline in CMSSW; here it is left out, so our default holds.
            "deadline_s": client.timeout * SECONDS[client.timeoutUnit],
            # As in CMSSW, 0 and 1 both mean one try.
            "retry": {"allowed_tries": max(1, client.allowedTries)},
            "window": {"max_requests": int(client.mode == "Sync")},
            "pin": {"config_pbtxt": client.modelConfigPath},
            "fallback": _fallback(service.fallback),
        }
    )


def _server(server: _Server, client: _Client) -> TomlTable:
    scheme = "grpcs" if server.useSsl else "grpc"
    certificates = {
        "roots": server.rootCertificates,
        "certificate": server.certificateChain,
        "key": server.privateKey,
    }
    return _given(
        {
            "url": f"{scheme}://{server.address}:{server.port}",
            "name": server.name,
            "preferred": server.name == client.preferredServer,
            # CMSSW reads the certificates only with useSsl.
            "tls": certificates if server.useSsl else {},
            "compression": client.compression,
            "shared_memory": "auto" if client.useSharedMemory else "",
        }
    )


def _fallback(fallback: _Fallback) -> TomlTable:
    if not fallback.enable:
        return {}
    image = f"{fallback.container}:{fallback.imageName}"
    return {
        "name": "triton",
        "start_timeout_s": max(0.0, float(fallback.wait)),
        "options": {"container": image if fallback.imageName else ""},
    }


def _given(table: TomlTable) -> TomlTable:
    """Leave out empty texts and tables, and zeros."""
    given = {
        name: _given(value) if isinstance(value, dict) else value
        for name, value in table.items()
    }
    return {name: value for name, value in given.items() if value}
