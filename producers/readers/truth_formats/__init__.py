"""The formats whose truth is read, one file each, as with `producers.readers.formats`.

A module of this package defines ``TRUTH_FORMAT``, a `TruthFormat`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.truth import TruthEvent
from producers.readers.content import FileContent
from sonic_base.errors import ConfigError, nearest_names

__all__ = ["TruthFile", "TruthFormat", "choose_truth_format", "known_truth_formats"]


class TruthFile(Protocol):
    """A file of truth whose number of events is known."""

    @property
    def n_events(self) -> int:
        """Number of events in it."""

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events, in order, several at a time as memory allows."""


class TruthFormat(Protocol):
    """One kind of file with truth in it, or beside it."""

    @property
    def name(self) -> str:
        """What users call it; that of the format of the events, where it is one."""

    @property
    def summary(self) -> str:
        """What it is, in a few words."""

    def recognises(self, content: FileContent) -> bool:
        """Whether the file is of this kind."""

    def open(self, content: FileContent) -> TruthFile:
        """Return the file, its columns checked, with no event read."""


@cache
def known_truth_formats() -> Mapping[str, TruthFormat]:
    """Return all formats by name, sorted."""
    names = sorted(module.name for module in iter_modules(__path__))
    formats = [import_module(f"{__name__}.{name}").TRUTH_FORMAT for name in names]
    return {format_.name: format_ for format_ in formats}


def choose_truth_format(content: FileContent, wanted: str | None = None) -> TruthFormat:
    """Return the format of a file of truth: the one that is wanted, or it is in.

    Raises
    ------
    SchemaError, UnreadableFileError
        If no format is like it.
    ConfigError
        If no format has the name wanted.
    """
    formats = known_truth_formats()
    if wanted is not None:
        if wanted not in formats:
            raise ConfigError(
                f"unknown format of truth {wanted!r}, "
                f"{nearest_names(wanted, list(formats))}"
            )
        return formats[wanted]
    for each in formats.values():
        if each.recognises(content):
            return each
    listed = ", ".join(formats)
    if content.container == "root":
        trees = ", ".join(map(repr, content.root_tables)) or "none"
        raise SchemaError(
            content.location,
            f"no TTree or RNTuple 'sp_truth' and 'particles', nor the truth of "
            f"another format known ({listed}); its trees: {trees}",
        )
    raise UnreadableFileError(
        content.location, f"no truth of a format known ({listed})"
    )
