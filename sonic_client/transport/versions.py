"""Versions of a model."""

from collections.abc import Sequence

__all__ = ["latest_version"]


def latest_version(versions: Sequence[str]) -> str:
    """Return the highest version; they are numbers without leading zeros."""
    return max(versions, key=lambda version: (len(version), version), default="")
