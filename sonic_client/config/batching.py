"""How requests are laid out in messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sonic_base.errors import ConfigError
from sonic_client.config.bounds import check_at_least_one, check_seconds

__all__ = ["BatchingConfig", "Layout"]

Layout: TypeAlias = Literal["per_event", "concat", "padded", "rectangular", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingConfig:
    """How many requests go into one message, and in which tensors.

    Without effect on the layout ``per_event``, but for `variable_outputs`.

    Raises
    ------
    ConfigError
        If a bound is out of its range, or a tensor has no name.
    """

    max_events: int = 16
    """Requests per message."""

    max_bytes: int = 8 * 2**20
    """Bytes of input per message. A single larger request passes alone."""

    max_delay_s: float = 0.1
    """Seconds that a request waits for others to join it, in a message not full.

    A single `infer` waits only while earlier ones are in flight."""

    row_splits: str = "ROW_SPLITS"
    """Input of ``concat`` that takes the offsets: n_requests + 1 int64, from zero."""

    mask: str = "MASK"
    """Input of ``padded`` that is 1 where a row is real, and 0 where it fills up."""

    padding_value: float = 0.0
    """What ``padded`` fills rows up with."""

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
