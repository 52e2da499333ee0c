"""Suggestions for a name that does not exist."""

from collections.abc import Iterable

__all__ = ["nearest_names"]


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return the names most like `name`, at most three, as text for an error message.

    The first three if none is similar; the empty text if nothing is known.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - for errors only

    names = sorted(known)
    nearest = get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
    if not nearest:
        return ""
    return "nearest: " + ", ".join(repr(candidate) for candidate in nearest)
