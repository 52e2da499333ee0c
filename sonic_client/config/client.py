"""The whole configuration of a client, from Python, TOML or CMSSW's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args

from sonic_base import (
    ConfigError,
    TomlTable,
    config_from_mapping,
    toml_content,
    toml_table,
)
from sonic_client.config.checks import check_choice, check_seconds
from sonic_client.config.cmssw import is_cmssw, table_from_cmssw
from sonic_client.config.failures import FallbackConfig, HealthConfig, RetryConfig
from sonic_client.config.messages import (
    AdaptiveConfig,
    AnswersConfig,
    BatchingConfig,
    CacheConfig,
    HedgeConfig,
    Layout,
    WindowConfig,
)
from sonic_client.config.server import ServersField

__all__ = ["CastPolicy", "ClientConfig", "PinConfig", "client_table"]

CastPolicy: TypeAlias = Literal["refuse", "safe", "same_kind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinConfig:
    """The model that servers must have; by default only its name is checked."""

    config_pbtxt: Path | None = None
    """Triton's configuration file of the model. The server's model must have its
    tensors, batch size and parameters."""


# Not slotted: `servers` converts what it is given, which only a class attribute can.
@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """The whole configuration of a client. It pickles, so workers can be given it.

    Raises
    ------
    ConfigError
        If a value is out of its range, or a server is not an address.
    """

    servers: ServersField = ServersField()  # noqa: RUF009 - it holds no value
    """Servers that have the model: a URL, a `ServerConfig`, or several of them.

    Stored as a tuple of `ServerConfig`. With several, a request that fails at one of
    them goes to another."""

    model_name: str

    model_version: str = ""
    """Empty asks for the server's latest version."""

    layout: Layout = "per_event"
    """``per_event`` sends each request as it is. ``concat`` joins several along
    their first axis, for models that take the offsets as an extra input. ``padded``
    stacks several, padded to the longest, with a mask. ``rectangular`` joins several
    of equal shape along the batch dimension. ``auto`` chooses the one that the model
    certainly allows, or is an error."""

    cast: CastPolicy = "refuse"
    """Policy for inputs of another element type than the model's: they are refused,
    or cast if numpy's rule ``safe`` or ``same_kind`` allows it."""

    deadline_s: float = 300.0
    """Seconds for a request, with all its tries and the waits between them."""

    startup_timeout_s: float = 10.0
    """Seconds within which a server must have described its model."""

    model_ready_timeout_s: float = 300.0
    """The same while a server says that it is loading the model, or is saturated."""

    retry: RetryConfig = field(default_factory=RetryConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    hedge: HedgeConfig = field(default_factory=HedgeConfig)
    fallback: FallbackConfig = field(default_factory=FallbackConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    adaptive: AdaptiveConfig = field(default_factory=AdaptiveConfig)
    answers: AnswersConfig = field(default_factory=AnswersConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    pin: PinConfig = field(default_factory=PinConfig)

    def __post_init__(self) -> None:
        if not self.model_name:
            raise ConfigError("model_name must not be empty")
        check_choice(self.layout, get_args(Layout), "layout")
        check_choice(self.cast, get_args(CastPolicy), "cast")
        check_seconds(self.deadline_s, "deadline_s")
        check_seconds(self.startup_timeout_s, "startup_timeout_s")
        check_seconds(self.model_ready_timeout_s, "model_ready_timeout_s")

    @classmethod
    def from_toml(cls, path: Path | str, *, table: str = "client") -> Self:
        """Read the configuration from one table of a TOML file.

        `servers` may be a URL, a list of them, or an array of tables. A file without
        the table may have CMSSW's tables instead.

        Raises
        ------
        ConfigError
            If the file or an entry is wrong; the nearest known keys are named.
        """
        values = client_table(path, table=table)
        return config_from_mapping(cls, values, where=f"{path}: [{table}]")

    @classmethod
    def from_cmssw(cls, settings: TomlTable) -> Self:
        """Convert CMSSW's parameters, ``{"Client": {...}, "TritonService": {...}}``.

        Raises
        ------
        ConfigError
            If a parameter is unknown, missing, or has a wrong value; or if there is no
            server.
        """
        where = "CMSSW settings"
        table = table_from_cmssw(settings, where=where)
        return config_from_mapping(cls, table, where=where)


def client_table(path: Path | str, *, table: str = "client") -> TomlTable:
    """Return the table of a TOML file that `ClientConfig.from_toml` reads.

    CMSSW's tables, in a file without this one, are converted.

    Raises
    ------
    ConfigError
        If the file cannot be read, or has no such table; or if a parameter of CMSSW
        is wrong.
    """
    content = toml_content(path)
    if table not in content and is_cmssw(content):
        return table_from_cmssw(content, where=str(path))
    return toml_table(path, table)
