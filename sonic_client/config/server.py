"""One server: its address, connections, certificates, headers and token."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import SplitResult, urlsplit

from sonic_base import MASK, ConfigError, Secret, SecretMapping
from sonic_client.config.checks import check_at_least_one, check_choice

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Balancing",
    "ChannelConfig",
    "Compression",
    "Scheme",
    "ServerConfig",
    "ServersField",
    "ServersLike",
    "SharedMemory",
    "TlsConfig",
    "TokenProvider",
    "is_header_value",
]

Scheme: TypeAlias = Literal["grpc", "grpcs", "http", "https"]
Compression: TypeAlias = Literal["none", "gzip", "deflate"]
SharedMemory: TypeAlias = Literal["off", "auto"]
Balancing: TypeAlias = Literal["round_robin", "pick_first"]

TokenProvider: TypeAlias = Callable[[], str]
"""Returns a valid token. Called in a thread, so it may wait; must pickle if the
configuration is pickled."""

MAX_MESSAGE_BYTES = 2**31 - 1
"""Largest size of a message on the wire: gRPC counts in int32."""

_TLS_PORT = 443
_REMEDY = "expected grpc://host:port, such as grpc://localhost:8001"
_MIN_KEEPALIVE_S = 10.0
_HEADER_NAME = re.compile(r"[0-9a-z_.-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Certificates of an encrypted connection; the files are read when it is opened.

    Raises
    ------
    ConfigError
        If a certificate is given without its key, or the other way round.
    """

    roots: Path | None = None
    """PEM file of the trusted authorities; the system's if None."""

    certificate: Path | None = None
    """PEM file of the client's certificate chain, if the server asks for one."""

    key: Path | None = None
    """PEM file of its private key."""

    server_name: str | None = None
    """Name in the server's certificate, if it is not the host's."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("tls: certificate and key must be given together")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """Connections of one client to one server; few, because a proxy may limit them.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    connections: int = 1
    """Number of gRPC channels, used in turn. For HTTP the largest number of open
    connections, where 1 means one per request in flight."""

    keepalive_s: float = 600.0
    """Seconds without traffic, while calls are in flight, after which the connection
    is tested.

    By default a server accepts one test per 300 s and closes the connection after more
    (``too_many_pings``); gRPC then doubles this time. At least 10 s."""

    keepalive_timeout_s: float = 20.0
    """Seconds within which the test must be answered."""

    balancing: Balancing = "round_robin"
    """Use of the addresses of the host's DNS name: ``round_robin`` uses all of them,
    ``pick_first`` one. gRPC only."""

    def __post_init__(self) -> None:
        check_at_least_one(self.connections, "connections")
        if not self.keepalive_s >= _MIN_KEEPALIVE_S:
            raise ConfigError(
                f"keepalive_s must be at least {_MIN_KEEPALIVE_S:g} s, "
                f"got {self.keepalive_s} s"
            )
        if not self.keepalive_timeout_s > 0.0:
            raise ConfigError(
                f"keepalive_timeout_s must be positive, got {self.keepalive_timeout_s}"
            )
        check_choice(self.balancing, get_args(Balancing), "balancing")


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
    """Its name in summaries and events; by default its URL."""

    preferred: bool = False
    """Used before the others as long as it works."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every call; messages and reprs show only their names. Names are kept
    in lower case."""

    # Not in the repr: that of a function may show its arguments.
    token: Secret | str | TokenProvider | None = field(default=None, repr=False)
    """Sent with every call as ``authorization: Bearer <token>``: the token itself, or
    a function that returns it. If the server refuses it, it is read again, once per
    call. No pickle holds it, see `sonic_base.Secret`."""

    token_file: Path | None = None
    """File that holds the token; read when needed, and again if it is refused."""

    token_env: str | None = None
    """Environment variable that holds the token; read like the file."""

    plaintext_token: bool = False
    """Whether a token or an ``authorization`` header may be sent unencrypted to another
    machine, where everyone on the way can read it. By default it is refused."""

    proxy: bool = False
    """Whether the server is reached through the proxy that the environment names
    (``http_proxy``, ``https_proxy``, ``no_proxy``); this machine never is."""

    tls: TlsConfig = field(default_factory=TlsConfig)
    """Certificates, for ``grpcs`` and ``https``."""

    channel: ChannelConfig = field(default_factory=ChannelConfig)

    compression: Compression = "none"
    """Compression of requests, also asked for in answers. The summary shows the time
    it costs and the bytes it saves."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    """A larger request is refused before anything is copied. Lower it to the limit of
    the proxies between client and server."""

    shared_memory: SharedMemory = "off"
    """``auto`` passes tensors in shared memory if the server runs on this host and
    supports it, and in the message otherwise."""

    def __post_init__(self) -> None:
        # Secrets first, so that the error of another setting cannot show them.
        headers = SecretMapping(self.headers)
        object.__setattr__(self, "headers", headers)
        if isinstance(self.token, str):
            object.__setattr__(self, "token", Secret(self.token))
        url = _full_url(self.url)
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "name", self.name or url)
        object.__setattr__(self, "headers", _checked_headers(headers))
        self._check_token()
        check_choice(self.compression, get_args(Compression), "compression")
        check_choice(self.shared_memory, get_args(SharedMemory), "shared_memory")
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
        if given and not (self.uses_tls or self.is_local or self.plaintext_token):
            raise ConfigError(
                f"server {self.url}: {given[0]} would be sent unencrypted to another "
                f"machine; use {self.scheme}s://, or set plaintext_token = true where "
                "everyone on the way is trusted"
            )

    @property
    def scheme(self) -> Scheme:
        """The scheme of its URL."""
        scheme: Scheme = urlsplit(self.url).scheme  # type: ignore[assignment]  # checked
        return scheme

    @property
    def address(self) -> str:
        """``host:port``, without the scheme."""
        return urlsplit(self.url).netloc

    @property
    def is_local(self) -> bool:
        """Whether the URL names this machine: ``localhost`` or a loopback address."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
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
    shown = _shown(url)
    if parts.scheme not in get_args(Scheme):
        schemes = ", ".join(get_args(Scheme))
        raise ConfigError(
            f"server {shown!r}: unknown scheme {parts.scheme!r}, known: {schemes}; "
            f"{_REMEDY}"
        )
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"server {shown!r}: {_REMEDY}")
    port = parts.port
    if port is None and parts.scheme in ("grpcs", "https"):
        port = _TLS_PORT
    if not parts.hostname or not port:
        raise ConfigError(f"server {shown!r}: host or port missing; {_REMEDY}")
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
        raise ConfigError(f"server {_shown(url)!r}: {error}; {_REMEDY}") from error
    return parts


def _shown(url: str) -> str:
    """Return a URL without a password, or a token in its query."""
    return re.sub(r"(^|(?<=//))[^/]*(?=@)|(?<=\?).*", MASK, url)


def _checked_headers(headers: SecretMapping) -> SecretMapping:
    """Return the headers with lower-case names, as HTTP/2 demands.

    Raises
    ------
    ConfigError
        If a name or a value cannot be sent; the message shows no value.
    """
    lowered = headers.renamed(str.lower)
    if len(lowered) < len(headers):
        raise ConfigError(f"headers: a name is given twice: {', '.join(headers)}")
    for name in lowered:
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"headers: {name!r} is not a header name")
        if name.startswith("grpc-") or name.endswith("-bin"):
            raise ConfigError(f"headers: {name!r} is reserved by gRPC")
        if not is_header_value(lowered[name]):
            raise ConfigError(
                f"headers: the value of {name!r} is not printable ASCII text"
            )
    return lowered


def is_header_value(value: object) -> bool:
    """Whether a value is text that can be sent in a header."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None
