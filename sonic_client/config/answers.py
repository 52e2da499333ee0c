"""What is expected of answers, and what becomes of those that are odd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sonic_base.errors import ConfigError, nearest_names

__all__ = ["AnswersConfig", "NonFinitePolicy"]

NonFinitePolicy: TypeAlias = Literal["off", "ignore", "warn", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersConfig:
    """What is expected of answers, and what becomes of those that are odd.

    Raises
    ------
    ConfigError
        If a policy is unknown.
    """

    nonfinite: NonFinitePolicy = "warn"
    """NaN and infinite values in outputs of floating point: counted in the summary
    (``ignore``), logged once an output too (``warn``), or not accepted (``raise``):
    another server or the fallback is asked, and the event fails if none has numbers.
    ``off`` does not look for them."""

    writable: bool = False
    """Give each event its own, writable copy of the outputs, instead of read-only
    views of the received message."""

    send_empty: bool = False
    """Send events without rows. Otherwise they are answered with outputs without
    rows, where all outputs have the rows of the inputs."""

    def __post_init__(self) -> None:
        known = get_args(NonFinitePolicy)
        if self.nonfinite not in known:
            raise ConfigError(
                f"unknown nonfinite {self.nonfinite!r}, "
                f"{nearest_names(self.nonfinite, known)}"
            )
