"""The formats that are read, one file each: adding one is adding its file.

A module of this package defines ``FORMAT``, a `Format`. Formats recognise a file by
what is in it, and no two of them the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, runtime_checkable

from producers.model.errors import UnreadableFileError
from producers.model.features import FeatureScale
from producers.model.schema import ColumnMapping
from producers.readers.content import FileContent
from producers.readers.source import EventFile
from sonic_base.errors import ConfigError, nearest_names

__all__ = ["Format", "ReadOptions", "choose_format", "known_formats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a caller said of the files; see `open_events`.

    Attributes
    ----------
    columns : ColumnMapping, optional
    csv_scale : FeatureScale, optional
    position : int
        Of the file among the others, from zero: the number of its event, where
        nothing else numbers it.
    """

    columns: ColumnMapping | None = None
    csv_scale: FeatureScale | None = None
    position: int = 0


@runtime_checkable
class Format(Protocol):
    """One kind of file with events in it."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def summary(self) -> str:
        """What it is, in a few words."""

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether the file is of this kind."""

    def open(self, content: FileContent, options: ReadOptions) -> EventFile:
        """Return the file, its columns checked, with no event read."""


GENERAL = {"root": "jagged", "parquet": "parquet"}
"""Formats whose messages say best what a file lacks that no format recognises."""


@cache
def known_formats() -> Mapping[str, Format]:
    """Return all formats by name, sorted."""
    names = sorted(module.name for module in iter_modules(__path__))
    formats = [import_module(f"{__name__}.{name}").FORMAT for name in names]
    return {format_.name: format_ for format_ in formats}


def choose_format(
    content: FileContent, options: ReadOptions, wanted: Format | str | None = None
) -> Format:
    """Return the format of a file: the one that is wanted, or the one it is in.

    Raises
    ------
    UnreadableFileError
        If no format is like it.
    ConfigError
        If several are, or no format has the name wanted.
    """
    formats = known_formats()
    if isinstance(wanted, str):
        if wanted not in formats:
            raise ConfigError(
                f"unknown format {wanted!r}, {nearest_names(wanted, list(formats))}"
            )
        return formats[wanted]
    if wanted is not None:
        return wanted
    found = [each for each in formats.values() if each.recognises(content, options)]
    if len(found) > 1:
        listed = " and ".join(each.name for each in found)
        raise ConfigError(f"{content.location}: could be {listed}; say which format")
    if found:
        return found[0]
    if content.container in GENERAL:
        return formats[GENERAL[content.container]]
    listed = ", ".join(formats)
    raise UnreadableFileError(
        content.location, f"neither a ROOT file nor another format known ({listed})"
    )
