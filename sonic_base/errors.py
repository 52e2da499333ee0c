"""The root of every error of the toolkit, and the nearest names for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["ConfigError", "SonicError", "nearest_names"]


class SonicError(Exception):
    """Root of all errors that this toolkit raises on purpose.

    Every error survives pickling with its attributes, so it can cross to another
    process.
    """

    # By default pickle calls the class with `args`, which fails for constructors that
    # take keywords.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[SonicError], args: tuple[object, ...], facts: dict[str, object]
) -> SonicError:
    error = kind.__new__(kind)
    # Assigned, because OSError.__new__ leaves them empty for its subclasses.
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigError(SonicError, ValueError):
    """A setting is unknown, of the wrong type, or out of its range."""


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return the up to three names most like `name`, as text for an error message.

    The first three if none is similar; empty if there are no names.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - slow to import

    names = sorted(known)
    nearest = get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
    if not nearest:
        return ""
    return "nearest: " + ", ".join(repr(candidate) for candidate in nearest)
