"""One call for all kinds of input."""

from __future__ import annotations

from collections.abc import Sequence

from producers.model.errors import NoEventsError, SchemaError
from producers.model.features import FeatureScale
from producers.model.schema import ColumnMapping
from producers.readers.content import FileContent
from producers.readers.formats import Format, ReadOptions, choose_format
from producers.readers.location import Location, PathLike, locations
from producers.readers.source import EventFile, EventSource
from sonic_base.errors import ConfigError

__all__ = ["open_events"]


def open_events(
    paths: PathLike | Sequence[PathLike],
    *,
    format: Format | str | None = None,
    columns: ColumnMapping | None = None,
    csv_scale: FeatureScale | None = None,
    max_events: int | None = None,
    chunk_size: int | None = None,
) -> EventSource:
    """Return the events of one or several files, in the order given.

    What a file is, is decided by its content, not by its name. All files are looked
    into before the first event is read, so a wrong one is found at once.

    Parameters
    ----------
    paths : path, or sequence of path
        Files, patterns, lists of files and URLs: see `producers.readers.locations`.
    format : str or Format, optional
        Instead of the one that the content shows; a name of
        `producers.readers.known_formats`.
    columns : ColumnMapping, optional
        Where the space points are in ROOT or parquet files; without it, the layouts
        of `producers.model.schema.RECOGNISED_LAYOUTS` and those of the formats are
        recognised.
    csv_scale : FeatureScale, optional
        What the columns of feature csv files were divided by. Such a file does not
        say, so it must be given.
    max_events : int, optional
        Stop after so many events, over all files.
    chunk_size : int, optional
        Events per chunk; by default as many as 8 MB of coordinates hold.

    Raises
    ------
    InputNotFoundError
        If a path leads to no file; all of them are checked before any is opened.
    UnreadableFileError
        If a file is of no known kind, truncated or damaged.
    SchemaError
        If the tree or a column is not there, with the nearest names; or if the files
        are not all in one format.
    NoEventsError
        If there is no event in any file.
    ConfigError
        If a file is given twice, a number is below one, a csv has no scale, or a
        file could be in several formats.
    """
    for name, number in (("max_events", max_events), ("chunk_size", chunk_size)):
        if number is not None and number < 1:
            raise ConfigError(f"{name} must be at least 1, got {number}")
    given = locations(paths)
    files: list[EventFile] = []
    first: Format | None = None
    for position, path in enumerate(given):
        options = ReadOptions(columns=columns, csv_scale=csv_scale, position=position)
        content = FileContent(path)
        chosen = choose_format(content, options, format)
        first = first or chosen
        _require_same(first, chosen, given[0], path)
        files.append(chosen.open(content, options))
    source = EventSource(files, max_events=max_events, chunk_size=chunk_size)
    if not len(source):
        rest = f" and {len(given) - 1} more files" if len(given) > 1 else ""
        raise NoEventsError(f"{given[0]}{rest}: no events in it")
    return source


def _require_same(
    first: Format, chosen: Format, first_path: Location, path: Location
) -> None:
    # A list of mixed formats is a mistake more often than a wish, and its events
    # would rarely be of one detector.
    if chosen.name != first.name:
        raise SchemaError(
            path,
            f"its format is {chosen.name}, that of {first_path} is {first.name}; "
            "give files of one format",
        )
