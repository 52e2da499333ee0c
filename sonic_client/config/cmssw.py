"""CMSSW's names for what a client is told, taken as they are.

In CMSSW two parameter sets say it: ``Client`` of a producer, and ``TritonService`` with
the servers. Here they are tables of a TOML file, or dicts::

    [Client]
    modelName = "exatrkx"
    preferredServer = "purdue"
    timeout = 30
    allowedTries = 2

    [[TritonService.servers]]
    name = "purdue"
    address = "sonic.example.org"
    port = 8001

docs/cmssw.md has a table of what becomes of each parameter.

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
from pathlib import Path
from typing import Any, Literal

from sonic_base.errors import ConfigError, nearest_names
from sonic_base.toml import config_from_mapping, toml_content
from sonic_client.config.client import ClientConfig

__all__ = ["config_from_cmssw", "is_cmssw", "table_from_cmssw"]

SECONDS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6}


# The fields of these are CMSSW's names, which are not ours to choose.
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


# Any, here and below: values of a TOML file, or of a dict, are of any type.
def is_cmssw(content: Mapping[str, Any]) -> bool:
    """Whether settings are in CMSSW's names, to judge by their tables."""
    return "Client" in content or "TritonService" in content


def config_from_cmssw(settings: Mapping[str, Any] | Path | str) -> ClientConfig:
    """Return the configuration that CMSSW's parameters ask for.

    Parameters
    ----------
    settings : mapping or path
        ``{"Client": {...}, "TritonService": {...}}``, or a TOML file with these tables;
        its other tables are not looked at.

    Raises
    ------
    ConfigError
        As `table_from_cmssw`; or if there is no server, or a value is out of its range.
    """
    where = "CMSSW settings"
    if not isinstance(settings, Mapping):
        where, settings = str(settings), toml_content(settings)
    table = table_from_cmssw(settings, where=where)
    return config_from_mapping(ClientConfig, table, where=where)


def table_from_cmssw(settings: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return what CMSSW's parameters ask for, as a table of a `ClientConfig`.

    Only what differs from our defaults is in it, so that others may be put on top.

    Raises
    ------
    ConfigError
        If a parameter is unknown, with the nearest; missing, or of the wrong type; or
        if the preferred server is none of the servers.
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
            # CMSSW's 0 is gRPC's, no deadline: here the default stands for it.
            "deadline_s": client.timeout * SECONDS[client.timeoutUnit],
            # Counts as CMSSW does: with 0 as with 1 there is one try.
            "retry": {"allowed_tries": max(1, client.allowedTries)},
            "window": {"max_requests": int(client.mode == "Sync")},
            "pin": {"config_pbtxt": client.modelConfigPath},
            "fallback": _fallback(service.fallback),
        }
    )


def _server(server: _Server, client: _Client) -> dict[str, Any]:
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


def _fallback(fallback: _Fallback) -> dict[str, Any]:
    if not fallback.enable:
        return {}
    image = f"{fallback.container}:{fallback.imageName}"
    return {
        "name": "triton",
        "start_timeout_s": max(0.0, float(fallback.wait)),
        "options": {"container": image if fallback.imageName else ""},
    }


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: no text, no number, no table."""
    given = {
        name: _given(value) if isinstance(value, dict) else value
        for name, value in table.items()
    }
    return {name: value for name, value in given.items() if value}
