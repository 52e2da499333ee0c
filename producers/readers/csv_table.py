"""Columns of one event's csv file, plain or packed by gzip."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from producers.model.errors import SchemaError, UnreadableFileError
from producers.readers.location import Location, name_of, open_binary
from sonic_base.errors import nearest_names

__all__ = ["event_number", "read_csv", "sibling"]

_EVENT = re.compile(r"event(\d{1,18})-([\w-]+)\.csv(\.gz)?$")


def event_number(path: Location) -> int | None:
    """Return the number in a name like ``event000000042-hits.csv``, or None."""
    found = _EVENT.search(name_of(path))
    return None if found is None else int(found.group(1))


def sibling(path: Location, kind: str) -> Location | None:
    """Return the file of another kind of the same event, or None if it has none.

    ``event000000042-truth.csv`` of ``event000000042-hits.csv.gz``, packed or not. Of
    a URL it is taken to be packed as this one is.
    """
    found = _EVENT.search(name_of(path))
    if found is None:
        return None
    number, packed = found.group(1), found.group(3) or ""
    if isinstance(path, str):
        return path[: path.rindex("/") + 1] + f"event{number}-{kind}.csv{packed}"
    for suffix in (packed, ".gz", ""):
        other = path.with_name(f"event{number}-{kind}.csv{suffix}")
        if other.exists():
            return other
    return None


def read_csv(
    path: Location,
    columns: Mapping[str, DTypeLike],
    *,
    optional: Sequence[str] = (),
) -> dict[str, NDArray[Any]]:
    """Read some columns of a csv file whose first line names them.

    Parameters
    ----------
    path : Path or str
    columns : mapping of str to dtype
        Those wanted. Integers are read as such: ids above 2^53 stay exact.
    optional : sequence of str
        Of these, those that the file may lack.

    Raises
    ------
    SchemaError
        If a column is not there, with the nearest names.
    UnreadableFileError
        If a row is cut off, or a value is no number of the wanted type.
    """
    with open_binary(path) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        unpacked = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            text = io.TextIOWrapper(unpacked, encoding="utf-8")
            return _read(path, text, columns, optional)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UnreadableFileError(path, f"damaged csv: {error}") from error


def _read(
    path: Location,
    text: io.TextIOWrapper,
    columns: Mapping[str, DTypeLike],
    optional: Sequence[str],
) -> dict[str, NDArray[Any]]:
    names = [name.strip() for name in text.readline().split(",")]
    for name in columns:
        if name not in names and name not in optional:
            raise SchemaError(path, f"no column {name!r}, {nearest_names(name, names)}")
    wanted = [name for name in columns if name in names]
    dtype = np.dtype([(name, columns[name]) for name in wanted])
    positions = [names.index(name) for name in wanted]
    try:
        rows = (line for line in text if line.strip())
        first = next(rows, None)
        if first is None:
            return {name: np.empty(0, dtype=columns[name]) for name in wanted}
        table = np.loadtxt(
            chain([first], rows), delimiter=",", dtype=dtype, usecols=positions, ndmin=1
        )
    except (ValueError, OverflowError) as error:
        raise UnreadableFileError(path, f"damaged csv: {error}") from error
    return {name: table[name] for name in wanted}
