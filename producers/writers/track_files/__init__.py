"""The formats that tracks are written in, one file each: adding one is adding its file.

A module of this package defines ``TRACK_FORMATS``, a tuple of `TrackFormat`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

from producers.model.track_block import FailureRow, TrackBlock
from sonic_base.errors import ConfigError, nearest_names

__all__ = ["TrackFile", "TrackFormat", "choose_track_format", "known_track_formats"]


class TrackFile(Protocol):
    """A file of tracks that is being written."""

    def append(self, block: TrackBlock) -> None:
        """Add events."""

    # Any: JSON values of several kinds.
    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Add what is known at the end only."""

    def close(self) -> None:
        """Close the file, finished or not."""


class TrackFormat(Protocol):
    """One kind of file with tracks in it."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def summary(self) -> str:
        """What it is, in a few words."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How file names end that mean this format; none, if it must be named."""

    @property
    def holds_failures(self) -> bool:
        """Whether events without answer can be told in the file, with their causes."""

    def create(self, path: Path) -> TrackFile:
        """Begin a file.

        Raises
        ------
        OSError
            If it cannot be written.
        ConfigError
            If a package for it is not installed.
        """


@cache
def known_track_formats() -> Mapping[str, TrackFormat]:
    """Return all formats by name, sorted."""
    names = sorted(module.name for module in iter_modules(__path__))
    modules = [import_module(f"{__name__}.{name}") for name in names]
    formats = [each for module in modules for each in module.TRACK_FORMATS]
    return {each.name: each for each in sorted(formats, key=lambda each: each.name)}


def choose_track_format(path: Path, wanted: str | None = None) -> TrackFormat:
    """Return the format that is named, or that the name of the file ends in.

    Raises
    ------
    ConfigError
        If there is no such format, or no format has the suffix.
    """
    formats = known_track_formats()
    if wanted is not None:
        if wanted not in formats:
            raise ConfigError(
                f"unknown output format {wanted!r}, "
                f"{nearest_names(wanted, list(formats))}"
            )
        return formats[wanted]
    for each in formats.values():
        if path.name.endswith(each.suffixes):
            return each
    known = ", ".join(suffix for each in formats.values() for suffix in each.suffixes)
    raise ConfigError(
        f"{path}: the suffix says no format (known: {known}); name one of "
        f"{', '.join(formats)}"
    )
