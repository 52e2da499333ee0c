"""Columns of a csv file, plain or compressed by gzip; one file per event."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import DTypeLike

from producers.io.location import Location, name_of, open_binary
from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.types import AnyArray
from sonic_base import nearest_names

_DAMAGED = (OSError, EOFError, ValueError, OverflowError, zlib.error)
"""What gzip, the decoding of text and numpy raise on damaged files."""

_EVENT = re.compile(r"event(\d{1,18})-([\w-]+)\.csv(\.gz)?$")


def event_number(path: Location) -> int | None:
    """Return the number in a name like ``event000000042-hits.csv``, or None."""
    found = _EVENT.search(name_of(path))
    return None if found is None else int(found.group(1))


def file_beside(path: Location, *kinds: str) -> Location:
    """Return another file of the same event: the first of these kinds that exists.

    ``event000000042-truth.csv`` for ``event000000042-hits.csv.gz``, compressed or
    not. The file beside a URL is assumed to exist and to be compressed alike.

    Raises
    ------
    SchemaError
        If there is none.
    """
    found = _EVENT.search(name_of(path))
    if found is None:
        raise SchemaError(
            path,
            "cannot find the other files of its event: expected a name like "
            "event000000042-hits.csv",
        )
    number, suffix = found.group(1), found.group(3) or ""
    names = [f"event{number}-{kind}.csv" for kind in kinds]
    if isinstance(path, str):
        return path[: path.rindex("/") + 1] + names[0] + suffix
    for name in names:
        for each in (suffix, ".gz", ""):
            other = path.with_name(name + each)
            if other.exists():
                return other
    raise SchemaError(path, f"expected {' or '.join(names)} beside it, found none")


def read_csv(
    path: Location,
    columns: Mapping[str, DTypeLike],
    *,
    optional: Sequence[str] = (),
) -> dict[str, AnyArray]:
    """Read some columns of a csv file whose first line names them.

    Parameters
    ----------
    path : Path or str
    columns : mapping of str to dtype
        Integers are parsed as integers, so ids above 2^53 stay exact.
    optional : sequence of str
        The columns that the file may lack.

    Raises
    ------
    SchemaError
        If a column is missing, with the nearest names.
    UnreadableFileError
        If a row is cut off, or a value is not a number of the column's type.
    """
    with open_binary(path) as raw:
        is_compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        content = gzip.GzipFile(fileobj=raw) if is_compressed else raw
        try:
            text = io.TextIOWrapper(content, encoding="utf-8")
            return _read(path, text, columns, optional)
        except _DAMAGED as error:
            raise UnreadableFileError(path, f"damaged csv: {error}") from error


def _read(
    path: Location,
    text: io.TextIOWrapper,
    columns: Mapping[str, DTypeLike],
    optional: Sequence[str],
) -> dict[str, AnyArray]:
    names = [name.strip() for name in text.readline().split(",")]
    for name in columns:
        if name not in names and name not in optional:
            raise SchemaError(path, f"no column {name!r}, {nearest_names(name, names)}")
    wanted = [name for name in columns if name in names]
    rows = (line for line in text if line.strip())
    first = next(rows, None)
    if first is None:
        return {name: np.empty(0, dtype=columns[name]) for name in wanted}
    table = np.loadtxt(
        chain([first], rows),
        delimiter=",",
        dtype=np.dtype([(name, columns[name]) for name in wanted]),
        usecols=[names.index(name) for name in wanted],
        ndmin=1,
    )
    return {name: table[name] for name in wanted}
