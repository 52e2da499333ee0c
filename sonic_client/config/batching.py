"""How requests are laid out in messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sonic_client.config.bounds import check_at_least_one
from sonic_client.errors import ConfigError

__all__ = ["BatchingConfig", "Layout"]

Layout: TypeAlias = Literal["per_event", "concat"]


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
        check_at_least_one(self.max_events, "max_events")
        check_at_least_one(self.max_bytes, "max_bytes")
        if not self.row_splits:
            raise ConfigError("row_splits must name an input of the model")
