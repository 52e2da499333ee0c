"""The list of formats, and the choice of one for a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from producers.formats import (
    acts_csv,
    colliderml,
    edm4hep,
    feature_csv,
    flat,
    gnn4itk,
    jagged,
    numpy,
    parquet,
    trackml,
)
from producers.formats.base import (
    EventFormat,
    Format,
    ReadOptions,
    TrackFormat,
    TruthFormat,
)
from producers.io.content import FileContent
from producers.model.errors import SchemaError, UnreadableFileError
from sonic_base import ConfigError, nearest_names

__all__ = [
    "EVENT_FORMATS",
    "FORMATS",
    "TRACK_FORMATS",
    "TRUTH_FORMATS",
    "EventFormat",
    "Format",
    "ReadOptions",
    "TrackFormat",
    "TruthFormat",
    "choose_event_format",
    "choose_track_format",
    "choose_truth_format",
]

T = TypeVar("T", EventFormat, TruthFormat, TrackFormat)

FORMATS: tuple[Format, ...] = (
    acts_csv.FORMAT,
    colliderml.FORMAT,
    edm4hep.FORMAT,
    feature_csv.FORMAT,
    flat.FORMAT,
    gnn4itk.FORMAT,
    jagged.FORMAT,
    numpy.FORMAT,
    parquet.FORMAT,
    trackml.FORMAT,
)
"""All formats. To add one, add its folder and list it here."""

EVENT_FORMATS: Mapping[str, EventFormat] = {
    each.events.name: each.events for each in FORMATS if each.events is not None
}
TRUTH_FORMATS: Mapping[str, TruthFormat] = {
    each.truth.name: each.truth for each in FORMATS if each.truth is not None
}
TRACK_FORMATS: Mapping[str, TrackFormat] = {
    track_format.name: track_format for each in FORMATS for track_format in each.tracks
}
"""The formats by the names that users give."""

MOST_GENERAL = {"root": "jagged", "parquet": "parquet"}
"""Formats whose messages explain best what an unrecognised file lacks."""


def choose_event_format(
    content: FileContent, options: ReadOptions, wanted: EventFormat | str | None = None
) -> EventFormat:
    """Return the requested format, or else the one that recognises the file.

    Raises
    ------
    UnreadableFileError
        If no format recognises the file.
    ConfigError
        If several formats recognise it, or none has the requested name.
    """
    if isinstance(wanted, EventFormat):
        return wanted
    if wanted is not None:
        return _named(EVENT_FORMATS, wanted, "format")
    found = [e for e in EVENT_FORMATS.values() if e.recognises(content, options)]
    if len(found) > 1:
        listed = " and ".join(each.name for each in found)
        raise ConfigError(f"{content.location}: could be {listed}; say which format")
    if found:
        return found[0]
    if content.container in MOST_GENERAL:
        return EVENT_FORMATS[MOST_GENERAL[content.container]]
    listed = ", ".join(EVENT_FORMATS)
    raise UnreadableFileError(
        content.location, f"neither a ROOT file nor another known format ({listed})"
    )


def choose_truth_format(content: FileContent, wanted: str | None = None) -> TruthFormat:
    """Return the requested format of truth, or else the one that recognises the file.

    Raises
    ------
    SchemaError, UnreadableFileError
        If no format recognises the file.
    ConfigError
        If no format has the requested name.
    """
    if wanted is not None:
        return _named(TRUTH_FORMATS, wanted, "format of truth")
    for each in TRUTH_FORMATS.values():
        if each.recognises(content):
            return each
    listed = ", ".join(TRUTH_FORMATS)
    if content.container == "root":
        trees = ", ".join(map(repr, content.root_tables)) or "none"
        raise SchemaError(
            content.location,
            f"no TTree or RNTuple 'sp_truth' and 'particles', nor the truth of "
            f"another known format ({listed}); its trees: {trees}; name its columns "
            "(--columns)",
        )
    raise UnreadableFileError(
        content.location, f"no truth in a known format ({listed})"
    )


def choose_track_format(path: Path, wanted: str | None = None) -> TrackFormat:
    """Return the requested output format, or else the one of the file's suffix.

    Raises
    ------
    ConfigError
        If no format has the requested name, or the suffix.
    """
    if wanted is not None:
        return _named(TRACK_FORMATS, wanted, "output format")
    # The longest suffix first: ``.edm4hep.root`` is also a ``.root``.
    by_suffix = {
        suffix: each for each in TRACK_FORMATS.values() for suffix in each.suffixes
    }
    for suffix in sorted(by_suffix, key=len, reverse=True):
        if path.name.endswith(suffix):
            return by_suffix[suffix]
    raise ConfigError(
        f"{path}: the suffix says no format (known: {', '.join(by_suffix)}); name one "
        f"of {', '.join(TRACK_FORMATS)}"
    )


def _named(formats: Mapping[str, T], wanted: str, what: str) -> T:
    if wanted not in formats:
        nearest = nearest_names(wanted, list(formats))
        is_output = wanted in TRACK_FORMATS
        hint = f"; {wanted} is an output format (--output-format)" if is_output else ""
        raise ConfigError(f"unknown {what} {wanted!r}{hint}, {nearest}")
    return formats[wanted]
