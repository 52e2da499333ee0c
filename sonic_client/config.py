"""How the client reaches a server, batches, repeats and bounds its requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args
from urllib.parse import urlsplit

from sonic_client.errors import ConfigError
from sonic_client.naming import nearest_names
from sonic_client.toml import config_from_toml

__all__ = ["BatchingConfig", "ClientConfig", "Layout", "RetryConfig", "WindowConfig"]

Layout: TypeAlias = Literal["per_event", "concat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often, and how patiently, a request that failed in transit is repeated.

    Only transient failures are repeated; a request the server rejected is not.

    Raises
    ------
    ConfigError
        If a value is out of its range. Nothing is clamped silently.
    """

    allowed_tries: int = 5
    """Tries in total, the first one included (CMSSW's ``allowedTries``)."""

    first_wait_s: float = 0.1
    """Upper bound of the wait before the second try, in seconds.

    Each later bound is twice as long; the wait itself is drawn between zero and
    its bound, so that many clients do not come back together."""

    max_wait_s: float = 5.0
    """Upper bound of any single wait, in seconds."""

    def __post_init__(self) -> None:
        _at_least_one(self.allowed_tries, "allowed_tries")
        if not 0.0 <= self.first_wait_s <= self.max_wait_s:
            raise ConfigError(
                "need 0 <= first_wait_s <= max_wait_s, "
                f"got {self.first_wait_s} s and {self.max_wait_s} s"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """How much may be on its way to the server at once.

    Raises
    ------
    ConfigError
        If a bound is below one.
    """

    max_requests: int = 16
    """Messages in flight. As many finished ones may wait to be delivered."""

    max_bytes: int = 256 * 2**20
    """Bytes of input in flight. A single larger message passes alone."""

    def __post_init__(self) -> None:
        _at_least_one(self.max_requests, "max_requests")
        _at_least_one(self.max_bytes, "max_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingConfig:
    """How many requests the layout ``concat`` joins into one message.

    Raises
    ------
    ConfigError
        If a bound is below one, or the tensor has no name.
    """

    max_events: int = 16
    """Requests per message."""

    max_bytes: int = 8 * 2**20
    """Bytes of input per message. A single larger request passes alone."""

    row_splits: str = "ROW_SPLITS"
    """Input that takes the offsets: n_requests + 1 int64, from zero."""

    def __post_init__(self) -> None:
        _at_least_one(self.max_events, "max_events")
        _at_least_one(self.max_bytes, "max_bytes")
        if not self.row_splits:
            raise ConfigError("row_splits must name an input of the model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """All that a client needs to know; picklable, so a worker can be given it.

    Raises
    ------
    ConfigError
        If a value is out of its range, or `server` is not an address.
    """

    server: str
    """``grpc://host:port`` or ``host:port``; ``[::1]:8001`` for IPv6."""

    model_name: str

    model_version: str = ""
    """Empty asks for the version that the server thinks is the latest."""

    layout: Layout = "per_event"
    """``per_event`` sends each request as it is. ``concat`` joins several along
    their first axis, for models that take the offsets as an extra input."""

    deadline_s: float = 300.0
    """Seconds for a request, all its tries and the waits between them."""

    startup_timeout_s: float = 10.0
    """Seconds within which the server must have described its model."""

    retry: RetryConfig = field(default_factory=RetryConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    batching: BatchingConfig = field(default_factory=BatchingConfig)

    def __post_init__(self) -> None:
        _ = self.address
        if not self.model_name:
            raise ConfigError("model_name must not be empty")
        if self.layout not in get_args(Layout):
            raise ConfigError(
                f"unknown layout {self.layout!r}, "
                f"{nearest_names(self.layout, get_args(Layout))}"
            )
        for name in ("deadline_s", "startup_timeout_s"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                raise ConfigError(f"{name} must be positive and finite, got {value} s")

    @property
    def address(self) -> str:
        """``host:port`` of the server, without the scheme."""
        remedy = "expected grpc://host:port, such as grpc://localhost:8001"
        has_scheme = "://" in self.server
        parts = urlsplit(self.server if has_scheme else f"grpc://{self.server}")
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"server {self.server!r}: {error}; {remedy}") from error
        if parts.scheme != "grpc" or parts.path.strip("/") or "@" in parts.netloc:
            raise ConfigError(f"server {self.server!r}: {remedy}")
        if not parts.hostname or not port:
            raise ConfigError(f"server {self.server!r}: host or port missing; {remedy}")
        return parts.netloc

    @classmethod
    def from_toml(cls, path: Path | str, *, table: str = "client") -> Self:
        """Read the configuration from one table of a TOML file.

        Raises
        ------
        ConfigError
            If the file or an entry is wrong; unknown keys come with the nearest.
        """
        return config_from_toml(cls, path, table=table)


def _at_least_one(value: int, name: str) -> None:
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, got {value}")
