"""Checks that several sections of the configuration make."""

from collections.abc import Sequence

from sonic_base import ConfigError, nearest_names

__all__ = [
    "check_at_least_one",
    "check_choice",
    "check_not_negative",
    "check_seconds",
]


def check_at_least_one(value: float, name: str) -> None:
    """Refuse a count or a size below one."""
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, got {value}")


def check_not_negative(value: float, name: str) -> None:
    """Refuse a number below zero, and one that is not finite."""
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{name} must not be negative, got {value}")


def check_seconds(value: float, name: str) -> None:
    """Refuse a time that is not positive and finite."""
    if not 0.0 < value < float("inf"):
        raise ConfigError(f"{name} must be positive and finite, got {value} s")


def check_choice(value: str, known: Sequence[str], name: str) -> None:
    """Refuse a text that is not among the known ones."""
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}, {nearest_names(value, known)}")
