"""One server: where it is, and how it is meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import SplitResult, urlsplit

from sonic_base.errors import ConfigError, nearest_names
from sonic_base.secrets import Secret
from sonic_client.config.channel import ChannelConfig
from sonic_client.config.headers import checked_headers
from sonic_client.config.tls import TlsConfig

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Compression",
    "Scheme",
    "ServerConfig",
    "ServersField",
    "ServersLike",
    "SharedMemory",
    "TokenProvider",
]

Scheme: TypeAlias = Literal["grpc", "grpcs", "http", "https"]
Compression: TypeAlias = Literal["none", "gzip", "deflate"]
SharedMemory: TypeAlias = Literal["off", "auto"]

TokenProvider: TypeAlias = Callable[[], str]
"""Returns a token that is valid now. Is called in a thread, so it may wait; must pickle
if the configuration is to."""

MAX_MESSAGE_BYTES = 2**31 - 1
"""The most that a message may have on the wire: gRPC counts in int32."""

_TLS_PORT = 443
_REMEDY = "expected grpc://host:port, such as grpc://localhost:8001"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One server that has the model.

    Raises
    ------
    ConfigError
        If `url` is not an address.
    """

    url: str
    """``grpc://host:port``, ``grpcs://`` for TLS, ``http://`` or ``https://``.

    ``host:port`` alone is gRPC, with TLS on port 443; ``[::1]:8001`` is IPv6. Kept
    in its full form, ``scheme://host:port``."""

    name: str = ""
    """What it is called in summaries and events; its URL unless given."""

    preferred: bool = False
    """Used before the others as long as it works."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every call; shown by name only. Names are kept in lower case."""

    token: Secret | str | TokenProvider | None = None
    """Sent with every call as ``authorization: Bearer <token>``: the token itself, or
    what returns it. One that the server refuses is asked for again, once a call."""

    token_file: Path | None = None
    """File that holds the token; read when needed, again when the server refuses."""

    token_env: str | None = None
    """Environment variable that holds the token; likewise."""

    tls: TlsConfig = field(default_factory=TlsConfig)
    """Certificates, for ``grpcs`` and ``https``."""

    channel: ChannelConfig = field(default_factory=ChannelConfig)

    compression: Compression = "none"
    """Of requests, and asked for in answers. Costs time: the summary says how much,
    and what it saves."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    """A larger request is refused before anything is copied. Lower it to what proxies
    on the way let pass."""

    shared_memory: SharedMemory = "off"
    """``auto`` passes tensors in shared memory where the server runs on this host and
    agrees, and inline elsewhere."""

    def __post_init__(self) -> None:
        url = _full_url(self.url)
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "name", self.name or url)
        object.__setattr__(self, "headers", checked_headers(self.headers))
        if isinstance(self.token, str):
            object.__setattr__(self, "token", Secret(self.token))
        self._check_token()
        self._check_choice("compression", get_args(Compression))
        self._check_choice("shared_memory", get_args(SharedMemory))
        if not 1 <= self.max_message_bytes <= MAX_MESSAGE_BYTES:
            raise ConfigError(
                f"max_message_bytes must be from 1 to {MAX_MESSAGE_BYTES}, "
                f"got {self.max_message_bytes}"
            )
        if self.tls != TlsConfig() and not self.uses_tls:
            raise ConfigError(
                f"server {url}: tls is set, but {self.scheme}:// is not encrypted; "
                f"use {self.scheme}s://"
            )

    def _check_token(self) -> None:
        names = ("token", "token_file", "token_env")
        given = [name for name in names if getattr(self, name) is not None]
        if "authorization" in self.headers:
            given.append("headers.authorization")
        if len(given) > 1:
            raise ConfigError(
                f"server {self.url}: {' and '.join(given)} exclude one another"
            )

    def _check_choice(self, name: str, known: Sequence[str]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise ConfigError(
                f"unknown {name} {value!r}, {nearest_names(str(value), known)}"
            )

    @property
    def scheme(self) -> Scheme:
        """How it is spoken to."""
        scheme: Scheme = urlsplit(self.url).scheme  # type: ignore[assignment]  # checked
        return scheme

    @property
    def address(self) -> str:
        """``host:port``, without the scheme."""
        return urlsplit(self.url).netloc

    @property
    def uses_tls(self) -> bool:
        """Whether the scheme asks for an encrypted connection."""
        return self.scheme in ("grpcs", "https")


ServersLike: TypeAlias = str | ServerConfig | Sequence[str | ServerConfig]
"""One server or several; a text is its URL."""


class ServersField:
    """A dataclass field that takes `ServersLike` and gives a tuple of `ServerConfig`.

    Raises
    ------
    ConfigError
        If there is no server, or two have the same name.
    """

    toml_type = tuple[ServerConfig, ...]

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> tuple[ServerConfig, ...]:
        if instance is None:  # `dataclass` asks for a default value: there is none
            raise AttributeError(self._name)
        servers: tuple[ServerConfig, ...] = vars(instance)[self._name]
        return servers

    def __set__(self, instance: object, value: ServersLike) -> None:
        vars(instance)[self._name] = _server_configs(value)


def _server_configs(value: ServersLike) -> tuple[ServerConfig, ...]:
    items = [value] if isinstance(value, str | ServerConfig) else value
    servers = tuple(
        ServerConfig(url=item) if isinstance(item, str) else item for item in items
    )
    if not servers:
        raise ConfigError("servers must name at least one server")
    names = [server.name for server in servers]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"server {name!r} is named twice; names must differ")
    return servers


def _full_url(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in get_args(Scheme):
        schemes = ", ".join(get_args(Scheme))
        raise ConfigError(
            f"server {url!r}: unknown scheme {parts.scheme!r}, known: {schemes}; "
            f"{_REMEDY}"
        )
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"server {url!r}: {_REMEDY}")
    port = parts.port
    if port is None and parts.scheme in ("grpcs", "https"):
        port = _TLS_PORT
    if not parts.hostname or not port:
        raise ConfigError(f"server {url!r}: host or port missing; {_REMEDY}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def _split(url: str) -> SplitResult:
    try:
        if "://" in url:
            parts = urlsplit(url)
            _ = parts.port
            return parts
        parts = urlsplit(f"grpc://{url}")
        if parts.port == _TLS_PORT:
            return parts._replace(scheme="grpcs")
    except ValueError as error:
        raise ConfigError(f"server {url!r}: {error}; {_REMEDY}") from error
    return parts
