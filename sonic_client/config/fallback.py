"""What answers when no server does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sonic_base.errors import ConfigError
from sonic_client.config.bounds import check_at_least_one, check_seconds

__all__ = ["FallbackConfig", "OnDrift", "SameOutputs"]

OnDrift: TypeAlias = Literal["warn", "raise"]

# Any: outputs may hold any element type that KServe knows.
SameOutputs: TypeAlias = Callable[
    [Mapping[str, NDArray[np.generic]], Mapping[str, NDArray[np.generic]]], bool
]
"""Whether the outputs of a server, and those of the fallback, are the same; must pickle
if the configuration is to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """What answers when no server does.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    name: str = ""
    """Entry point in the group ``sonic_client.fallback``, such as ``mock`` or
    ``triton``; empty for none, or for the one that the client is given."""

    options: Mapping[str, str] = field(default_factory=dict)
    """For the entry point, such as the directory of the weights."""

    max_concurrent: int = 1
    """Requests at once, if it is a function in this process."""

    start_timeout_s: float = 120.0
    """Seconds that it may take to start."""

    compare_events: int = 0
    """Events, from the first on, that both a server and the fallback compute."""

    rtol: float = 1e-5
    """Largest difference of two floating point outputs, relative to the server's."""

    atol: float = 1e-8
    """The same, absolute: the bounds add up. Other outputs must be equal."""

    same_outputs: SameOutputs | None = None
    """Compares instead, where equal is too strict: labels may be numbered anew."""

    on_drift: OnDrift = "warn"
    """What to do when they differ; ``raise`` fails the event."""

    def __post_init__(self) -> None:
        check_at_least_one(self.max_concurrent, "max_concurrent")
        check_seconds(self.start_timeout_s, "start_timeout_s")
        for name in ("compare_events", "rtol", "atol"):
            if not getattr(self, name) >= 0:
                raise ConfigError(
                    f"{name} must not be negative, got {getattr(self, name)}"
                )
        if self.on_drift not in get_args(OnDrift):
            raise ConfigError(
                f"on_drift must be 'warn' or 'raise', got {self.on_drift!r}"
            )
