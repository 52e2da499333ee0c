"""All that a client needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args

from sonic_base.errors import ConfigError, nearest_names
from sonic_base.toml import config_from_toml
from sonic_client.config.adaptive import AdaptiveConfig
from sonic_client.config.answers import AnswersConfig
from sonic_client.config.batching import BatchingConfig, Layout
from sonic_client.config.bounds import check_seconds
from sonic_client.config.cache import CacheConfig
from sonic_client.config.fallback import FallbackConfig
from sonic_client.config.health import HealthConfig
from sonic_client.config.pin import PinConfig
from sonic_client.config.retry import RetryConfig
from sonic_client.config.server import ServersField
from sonic_client.config.window import WindowConfig

__all__ = ["CastPolicy", "ClientConfig"]

CastPolicy: TypeAlias = Literal["refuse", "safe", "same_kind"]


# Not slotted: `servers` converts what it is given, which only a class attribute can.
@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """All that a client needs to know; picklable, so a worker can be given it.

    Raises
    ------
    ConfigError
        If a value is out of its range, or a server is not an address.
    """

    servers: ServersField = ServersField()  # noqa: RUF009 - it holds no value
    """Servers that have the model: a URL, a `ServerConfig`, or several of them.

    Always read as a tuple of `ServerConfig`. With several, a request that one of
    them fails goes to another."""

    model_name: str

    model_version: str = ""
    """Empty asks for the version that the server thinks is the latest."""

    layout: Layout = "per_event"
    """``per_event`` sends each request as it is. ``concat`` joins several along
    their first axis, for models that take the offsets as an extra input; ``padded``
    stacks them, filled up, beside a mask; ``rectangular`` joins those of equal shape
    along the batch dimension. ``auto`` takes the one of these that the model allows,
    if that is certain."""

    cast: CastPolicy = "refuse"
    """Inputs of another element type than the model's: refused, or cast where
    numpy's rule ``safe`` or ``same_kind`` allows it."""

    deadline_s: float = 300.0
    """Seconds for a request, all its tries and the waits between them."""

    startup_timeout_s: float = 10.0
    """Seconds within which a server must have described its model."""

    model_ready_timeout_s: float = 300.0
    """Seconds instead, as long as a server says that it is loading the model, or
    that it is saturated."""

    retry: RetryConfig = field(default_factory=RetryConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
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
        for name, known in (
            ("layout", get_args(Layout)),
            ("cast", get_args(CastPolicy)),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(
                    f"unknown {name} {value!r}, {nearest_names(value, known)}"
                )
        check_seconds(self.deadline_s, "deadline_s")
        check_seconds(self.startup_timeout_s, "startup_timeout_s")
        check_seconds(self.model_ready_timeout_s, "model_ready_timeout_s")

    @classmethod
    def from_toml(cls, path: Path | str, *, table: str = "client") -> Self:
        """Read the configuration from one table of a TOML file.

        `servers` may be a URL, a list of them, or an array of tables.

        Raises
        ------
        ConfigError
            If the file or an entry is wrong; unknown keys come with the nearest.
        """
        return config_from_toml(cls, path, table=table)
