"""The root of every error of the toolkit, and help to write messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import Any

__all__ = ["ConfigError", "SonicError", "nearest_names", "printable"]


def printable(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey.

    Control characters other than line feeds and tabs, and those that are not visible,
    become escapes such as ``\x1b``. Texts of servers and files can have them; a
    terminal would clear itself, or write to the clipboard.
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in "\n\t"
        else each.encode("unicode_escape").decode()
        for each in text
    )


class SonicError(Exception):
    """Root of all errors that this toolkit raises on purpose.

    Every error survives pickling with its attributes, so it can cross to another
    process. The text of an error is `printable`: it may quote a server or a file.
    """

    def __str__(self) -> str:
        return printable(super().__str__())

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


NEAR = 0.5
"""Least likeness of two names, from 0 to 1, for one to stand for the other."""

MOST_NAMES = 12
"""A message lists no more names than these."""


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return the up to three names most like `name`, as text for an error message.

    Names are alike if their letters are, in any case, or if they have words in common,
    as ``hit_x`` and ``HitX`` have. If none is alike, the text lists what there is
    instead; it is empty if there are no names.
    """
    names = sorted(known) if isinstance(known, Set) else list(dict.fromkeys(known))
    likeness = {each: _likeness(name, each) for each in names}
    near = [each for each in names if likeness[each] >= NEAR]
    near.sort(key=lambda each: -likeness[each])
    if near:
        return f"nearest: {_quoted(near[:3])}"
    if not names:
        return ""
    rest = len(names) - MOST_NAMES
    more = f" and {rest} more" if rest > 0 else ""
    return f"there are: {_quoted(names[:MOST_NAMES])}{more}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _likeness(name: str, other: str) -> float:
    from difflib import SequenceMatcher  # noqa: PLC0415 - slow to import

    spelling = SequenceMatcher(None, name.casefold(), other.casefold()).ratio()
    own, others = _words(name), _words(other)
    shared = len(own & others) / max(len(own), len(others), 1)
    return max(spelling, shared)


def _words(name: str) -> set[str]:
    """Return the words of a name in snake case, camel case, or with dots."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return {word.casefold() for word in found}
