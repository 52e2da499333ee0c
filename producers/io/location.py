"""Where files are: local paths, patterns, lists of files, and URLs."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import fsspec

from producers.model.errors import (
    InputNotFoundError,
    NoEventsError,
    UnreadableFileError,
)
from sonic_base import ConfigError, decoding, is_there

PathLike: TypeAlias = Path | str

Location: TypeAlias = Path | str
"""A local file is a Path; a URL is text, because a Path would merge its slashes."""

LIST_SUFFIX = ".txt"
# The package that fsspec needs for a protocol, where its own message is not enough.
PACKAGES = {
    "root": "fsspec-xrootd",
    "http": "aiohttp",
    "https": "aiohttp",
    "s3": "s3fs",
    "gs": "gcsfs",
}


def locations(given: PathLike | Sequence[PathLike]) -> tuple[Location, ...]:
    """Return the files that paths, patterns and lists of files stand for.

    Parameters
    ----------
    given : path, or sequence of path
        ``run*.root`` is a pattern, unless a file has that name; its files are
        sorted. ``@files.txt``, or a file that ends in ``.txt``, lists one path,
        pattern or URL per line, relative to the list's own folder; empty lines and
        lines that start with ``#`` are ignored. ``root://`` and other URLs are
        passed to fsspec, and are checked only when they are opened.

    Raises
    ------
    InputNotFoundError
        If a path or pattern has no file; names the first and counts the others.
    UnreadableFileError
        If a path is a folder.
    NoEventsError
        If there is no path at all.
    ConfigError
        If two of them are the same file: its events would count twice.
    """
    items = [given] if isinstance(given, Path | str) else given
    found = [each for item in items for each in _expanded(item, Path())]
    if not found:
        raise NoEventsError("no input files")
    missing = tuple(p for p in found if isinstance(p, Path) and not is_there(p))
    if missing:
        raise InputNotFoundError(missing)
    seen: dict[Location, Location] = {}
    for path in found:
        if isinstance(path, Path) and path.is_dir():
            raise UnreadableFileError(path, "is a folder, expected a file")
        own = path.resolve() if isinstance(path, Path) else path
        first = seen.setdefault(own, path)
        if first is not path:
            raise ConfigError(f"{path}: given twice (first as {first})")
    return tuple(found)


def _expanded(item: PathLike, folder: Path) -> Iterator[Location]:
    text = str(item)
    if "://" in text:
        # A Path made from a URL has lost a slash and looks like a local path, so
        # callers must pass URLs as text.
        yield text
    elif text.startswith("@") or text.endswith(LIST_SUFFIX):
        yield from _listed(folder / text.removeprefix("@"))
    elif glob.has_magic(text) and not is_there(folder / text):
        found = sorted(glob.glob(str(folder / text)))  # noqa: PTH207 - absolute too
        if not found:
            raise InputNotFoundError((folder / text,))
        yield from map(Path, found)
    else:
        yield folder / text


def _listed(path: Path) -> Iterator[Location]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputNotFoundError((path,)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(path, f"cannot read the list: {error}") from error
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            yield from _expanded(line, path.parent)


def name_of(location: Location) -> str:
    """Return the last part of a path or URL."""
    return str(location).rpartition("/")[2]


@contextmanager
def open_binary(location: Location) -> Iterator[IO[bytes]]:
    """Open a local or remote file for reading.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    ConfigError
        If the package for its protocol is not installed.
    """
    with remote_errors(location):
        opened = (
            location.open("rb")
            if isinstance(location, Path)
            else fsspec.open(location, "rb").open()
        )
    with opened as file:
        yield file


@contextmanager
def remote_errors(location: Location) -> Iterator[None]:
    """Translate errors of the system and of missing packages; they name the file.

    Raises
    ------
    UnreadableFileError, ConfigError
        As `open_binary`.
    """
    protocol = str(location).partition("://")[0]
    try:
        yield
    except FileNotFoundError as error:
        if isinstance(location, str):
            raise UnreadableFileError(location, "no such file") from error
        raise InputNotFoundError((location,)) from error
    except OSError as error:
        reason = f"cannot read: {error.strerror or error}"
        raise UnreadableFileError(location, reason) from error
    except ImportError as error:
        package = PACKAGES.get(protocol, error.name or str(error))
        raise ConfigError(
            f"{location}: {protocol}:// needs the package {package}: "
            f"pip install {package}"
        ) from error
    except ValueError as error:
        if isinstance(location, Path) or "rotocol" not in str(error):
            raise
        raise ConfigError(f"{location}: {error}") from error


@contextmanager
def damaged_file_named(path: Location, kind: str, part: str) -> Iterator[None]:
    """Translate what a library raises on damaged bytes; the error names the file.

    Parameters
    ----------
    path : Path or str
    kind, part : str
        Kind of the file, and the part of it that is read: for the message.

    Raises
    ------
    UnreadableFileError
        With the first line of the library's message.
    """

    def damaged(reason: str) -> UnreadableFileError:
        return UnreadableFileError(
            path, f"truncated or damaged {kind} file: cannot read {part} ({reason})"
        )

    with decoding(damaged):
        yield
