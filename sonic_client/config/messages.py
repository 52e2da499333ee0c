"""Settings of messages: how many are in flight, batches, answers, cached answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from sonic_base import ConfigError
from sonic_client.config.checks import (
    check_at_least_one,
    check_choice,
    check_not_negative,
    check_seconds,
)

__all__ = [
    "AdaptiveConfig",
    "AnswersConfig",
    "BatchingConfig",
    "CacheConfig",
    "HedgeConfig",
    "Layout",
    "NonFinitePolicy",
    "WindowConfig",
]

Layout: TypeAlias = Literal["per_event", "concat", "padded", "rectangular", "auto"]
NonFinitePolicy: TypeAlias = Literal["off", "ignore", "warn", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """Bounds of the messages in flight.

    Raises
    ------
    ConfigError
        If a bound is below one.
    """

    max_requests: int = 16
    """Messages in flight. As many finished ones may wait to be delivered."""

    max_bytes: int = 256 * 2**20
    """Bytes of input in flight. A single larger message is sent alone."""

    def __post_init__(self) -> None:
        check_at_least_one(self.max_requests, "max_requests")
        check_at_least_one(self.max_bytes, "max_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveConfig:
    """Adaptation of the client to its servers.

    Raises
    ------
    ConfigError
        If a bound is out of its range.
    """

    window: bool = True
    """Send fewer messages at once while servers are full: half as many after a refusal,
    one more after each window of answers, between `min_requests` and the window's
    `max_requests`."""

    min_requests: int = 1
    """Least number of messages in flight."""

    slow_call_s: float | None = None
    """Calls that take longer, in seconds, also make the window smaller; None: only
    refusals do."""

    timeout: bool = False
    """Give up a try after `timeout_factor` times the 99th percentile of the previous
    calls, and try elsewhere."""

    timeout_factor: float = 4.0
    """Multiple of the 99th percentile that a try may take."""

    min_timeout_s: float = 1.0
    """Shortest timeout of a try, in seconds."""

    max_timeout_s: float = 60.0
    """Longest timeout of a try, in seconds."""

    def __post_init__(self) -> None:
        check_at_least_one(self.min_requests, "min_requests")
        if self.slow_call_s is not None:
            check_seconds(self.slow_call_s, "slow_call_s")
        if not 1.0 <= self.timeout_factor < float("inf"):
            raise ConfigError(
                f"timeout_factor must be at least 1, got {self.timeout_factor}"
            )
        if not 0.0 < self.min_timeout_s <= self.max_timeout_s < float("inf"):
            raise ConfigError(
                "need 0 < min_timeout_s <= max_timeout_s, "
                f"got {self.min_timeout_s} s and {self.max_timeout_s} s"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeConfig:
    """A second server for requests that take unusually long; off by default.

    The first answer counts, and the other call is cancelled. Both servers may compute
    the request, so the model must give the same answer however often it is asked: no
    sequences, no side effects. Needs two servers or more.

    Raises
    ------
    ConfigError
        If a fraction is out of its range.
    """

    enabled: bool = False
    """Whether requests are hedged."""

    quantile: float = 0.95
    """A request is sent to a second server when it has taken a fifth longer than this
    fraction of the recent ones."""

    max_extra: float = 0.05
    """Largest number of additional calls, as a fraction of the requests."""

    def __post_init__(self) -> None:
        for name in ("quantile", "max_extra"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise ConfigError(f"{name} must lie between 0 and 1, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingConfig:
    """The number of requests in one message, and the names of the extra tensors.

    The layout ``per_event`` uses `variable_outputs` only.

    Raises
    ------
    ConfigError
        If a bound is out of its range, or a tensor has no name.
    """

    max_events: int = 16
    """Requests per message."""

    max_bytes: int = 8 * 2**20
    """Bytes of input per message. A single larger request is sent alone."""

    max_delay_s: float = 0.1
    """Seconds that a request waits for others to fill its message.

    A single `infer` waits only while earlier ones are in flight."""

    row_splits: str = "ROW_SPLITS"
    """Input of ``concat`` that takes the offsets: n_requests + 1 int64, from zero."""

    mask: str = "MASK"
    """Input of ``padded`` that is 1 for real rows, and 0 for padding."""

    padding_value: float = 0.0
    """Value of the rows that ``padded`` adds."""

    variable_outputs: tuple[str, ...] = ()
    """Outputs whose number of rows is not that of an input; ``*`` for all."""

    def __post_init__(self) -> None:
        check_at_least_one(self.max_events, "max_events")
        check_at_least_one(self.max_bytes, "max_bytes")
        check_seconds(self.max_delay_s, "max_delay_s")
        for name in ("row_splits", "mask"):
            if not getattr(self, name):
                raise ConfigError(f"{name} must name an input of the model")

    def is_variable(self, output: str) -> bool:
        """Whether an output may have any number of rows."""
        return output in self.variable_outputs or "*" in self.variable_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersConfig:
    """Checks and copies of answers.

    Raises
    ------
    ConfigError
        If a policy is unknown.
    """

    nonfinite: NonFinitePolicy = "warn"
    """Policy for NaN and infinite values in floating point outputs. ``ignore``
    counts them in the summary; ``warn`` also logs each output once; ``raise`` asks
    another server or the fallback, and fails the event if no answer is finite.
    ``off`` does not look for them."""

    writable: bool = False
    """Give each event its own, writable copy of the outputs, instead of read-only
    views of the received message."""

    send_empty: bool = False
    """Send events without rows. Otherwise they are answered with outputs without
    rows, where all outputs have the rows of the inputs."""

    def __post_init__(self) -> None:
        check_choice(self.nonfinite, get_args(NonFinitePolicy), "nonfinite")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Answers that are kept for repeated requests; off by default.

    Useful for repeated passes over the same events with the same model, as for
    systematic variations of a later step.

    Raises
    ------
    ConfigError
        If the size is negative.
    """

    max_bytes: int = 0
    """Bytes of answers kept in memory; the oldest are dropped first. 0 keeps none."""

    folder: Path | None = None
    """Also keep them in this folder, for later jobs. Several jobs may share it; nothing
    is ever removed from it."""

    def __post_init__(self) -> None:
        check_not_negative(self.max_bytes, "max_bytes")

    @property
    def is_on(self) -> bool:
        """Whether any answers are kept."""
        return self.max_bytes > 0 or self.folder is not None
