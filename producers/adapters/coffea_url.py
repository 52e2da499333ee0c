"""Where coffea says a model is, and what it hands to tritonclient, as our settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sonic_base.errors import nearest_names
from sonic_client import ClientConfig, ConfigError, RetryConfig, ServerConfig, TlsConfig
from sonic_client.config import WindowConfig

__all__ = ["config_of"]

KNOWN = (
    "ssl",
    "root_certificates",
    "private_key",
    "certificate_chain",
    "verbose",
    "concurrency",
    "network_timeout",
)
REMEDY = "expected triton+grpc://host:port/model/version"


# Any: values of several kinds.
def config_of(
    model_url: str | ClientConfig, client_args: Mapping[str, Any]
) -> ClientConfig:
    """Return the client's configuration; inputs are cast where numpy calls it safe.

    Raises
    ------
    ConfigError
        If the URL is not of this form, or an argument is unknown.
    """
    for name in client_args:
        if name not in KNOWN:
            raise ConfigError(
                f"client_args: unknown {name!r}, {nearest_names(name, KNOWN)}"
            )
    if isinstance(model_url, ClientConfig):
        if client_args:
            raise ConfigError("client_args go with a URL; a ClientConfig has its own")
        return model_url
    protocol, address, model, version = _parts(model_url)
    is_encrypted = client_args.get("ssl", protocol == "grpc")
    scheme = protocol + ("s" if is_encrypted else "")
    server = ServerConfig(url=f"{scheme}://{address}", tls=_tls(client_args))
    return ClientConfig(
        servers=server,
        model_name=model,
        model_version=version,
        cast="same_kind",
        retry=RetryConfig(try_timeout_s=client_args.get("network_timeout")),
        window=WindowConfig(
            max_requests=client_args.get("concurrency", WindowConfig().max_requests)
        ),
    )


def _parts(model_url: str) -> tuple[str, str, str, str]:
    parts = urlsplit(model_url)
    family, _, protocol = parts.scheme.partition("+")
    names = parts.path.strip("/").split("/")
    if (
        family != "triton"
        or protocol not in ("grpc", "http")
        or not parts.netloc
        or not 1 <= len(names) <= 2
        or not names[0]
    ):
        raise ConfigError(f"model_url {model_url!r}: {REMEDY}")
    return protocol, parts.netloc, names[0], names[1] if len(names) > 1 else ""


def _tls(client_args: Mapping[str, Any]) -> TlsConfig:
    def path(name: str) -> Path | None:
        value = client_args.get(name)
        return Path(value) if value else None

    return TlsConfig(
        roots=path("root_certificates"),
        certificate=path("certificate_chain"),
        key=path("private_key"),
    )
