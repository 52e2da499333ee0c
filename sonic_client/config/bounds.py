"""Checks that every section of the configuration makes."""

from sonic_base.errors import ConfigError

__all__ = ["check_at_least_one", "check_seconds"]


def check_at_least_one(value: float, name: str) -> None:
    """Refuse a count or a size below one."""
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, got {value}")


def check_seconds(value: float, name: str) -> None:
    """Refuse a time that is not positive, or endless."""
    if not 0.0 < value < float("inf"):
        raise ConfigError(f"{name} must be positive and finite, got {value} s")
