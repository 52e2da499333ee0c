"""One call for all kinds of input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from producers.errors import InputNotFoundError, NoEventsError, UnreadableFileError
from producers.features import FeatureScale
from producers.readers.feature_csv import FeatureCsvFile, is_feature_csv
from producers.readers.root_events import RootEventFile
from producers.readers.root_file import is_root
from producers.readers.source import EventFile, EventSource
from producers.schema import ColumnMapping
from sonic_client.errors import ConfigError

__all__ = ["PathLike", "existing_files", "open_events"]

PathLike: TypeAlias = Path | str


def open_events(
    paths: PathLike | Sequence[PathLike],
    *,
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
    columns : ColumnMapping, optional
        Where the space points are in ROOT files; without it, the layouts of
        `producers.schema.RECOGNISED_LAYOUTS` are recognised.
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
        If the tree or a column is not there, with the nearest names.
    NoEventsError
        If there is no event in any file.
    ConfigError
        If a file is given twice, a number is below one, or a csv has no scale.
    """
    for name, number in (("max_events", max_events), ("chunk_size", chunk_size)):
        if number is not None and number < 1:
            raise ConfigError(f"{name} must be at least 1, got {number}")
    given = existing_files(paths)
    files = [
        _inspect(path, position, columns, csv_scale)
        for position, path in enumerate(given)
    ]
    source = EventSource(files, max_events=max_events, chunk_size=chunk_size)
    if not len(source):
        rest = f" and {len(given) - 1} more files" if len(given) > 1 else ""
        raise NoEventsError(f"{given[0]}{rest}: no events in it")
    return source


def existing_files(paths: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    """Return the paths, each checked to lead to a file of its own.

    Raises
    ------
    InputNotFoundError
        If one leads to no file; names the first and counts the others.
    UnreadableFileError
        If one is a folder.
    NoEventsError
        If there is no path at all.
    ConfigError
        If two paths lead to the same file: its events would count twice.
    """
    given = [paths] if isinstance(paths, Path | str) else paths
    files = tuple(Path(path) for path in given)
    if not files:
        raise NoEventsError("no input files")
    missing = tuple(path for path in files if not path.exists())
    if missing:
        raise InputNotFoundError(missing)
    seen: dict[Path, Path] = {}
    for path in files:
        if path.is_dir():
            raise UnreadableFileError(path, "is a folder, expected a file")
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise ConfigError(f"{path}: given twice (first as {first})")
    return files


def _inspect(
    path: Path,
    position: int,
    columns: ColumnMapping | None,
    csv_scale: FeatureScale | None,
) -> EventFile:
    try:
        if is_root(path):
            return RootEventFile.inspect(path, columns)
        if not is_feature_csv(path):
            raise UnreadableFileError(path, "neither a ROOT file nor a feature csv")
    except OSError as error:
        raise UnreadableFileError(path, f"cannot read: {error.strerror}") from error
    if csv_scale is None:
        raise ConfigError(
            f"{path}: a feature csv does not say its scale; "
            "give the divisors of r (mm), phi (rad) and z (mm)"
        )
    return FeatureCsvFile(path, csv_scale, _number_in(path.stem, position))


def _number_in(name: str, default: int) -> int:
    number = re.search(r"\d{1,18}$", name)
    return default if number is None else int(number.group())
