"""Space points of ACTS' ROOT writer, one per row; or of any table like it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.chunks import (
    as_event_ids,
    chunk_of_rows,
    require_radians,
    row_ranges,
    stacked,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, is_list, open_root
from producers.model.errors import InvalidEventError, SchemaError
from producers.model.event import EventChunk
from producers.model.schema import ColumnMapping

COLUMNS = ColumnMapping(event="event_id", x="x", y="y", z="z")
"""Columns of ACTS' RootSpacePointWriter (``Examples/Io/Root``) in all its versions."""

ROWS_AT_ONCE = 2**20


class EventRows(NamedTuple):
    """The rows of each event in a flat table.

    Attributes
    ----------
    event_ids : ndarray, shape (n_events,), int64
    row_splits : ndarray, shape (n_events + 1,), int64
        Event i has the rows ``row_splits[i]:row_splits[i + 1]``.
    """

    event_ids: NDArray[np.int64]
    row_splits: NDArray[np.int64]


def event_rows(table: RootTable, column: str) -> EventRows:
    """Return the rows of each event, in the order of the table; reads one column.

    Raises
    ------
    InvalidEventError
        If the rows of an event do not follow each other.
    """
    starts: list[NDArray[np.int64]] = []
    ids: list[NDArray[np.int64]] = []
    last: int | None = None
    for first in range(0, len(table), ROWS_AT_ONCE):
        stop = min(first + ROWS_AT_ONCE, len(table))
        numbers = as_event_ids(table.path, table.scalars(column, first, stop), first)
        is_start = np.empty(len(numbers), dtype=np.bool_)
        is_start[1:] = numbers[1:] != numbers[:-1]
        is_start[0] = last is None or numbers[0] != last
        starts.append(np.flatnonzero(is_start) + first)
        ids.append(numbers[is_start])
        last = int(numbers[-1])
    event_ids = np.concatenate(ids) if ids else np.empty(0, dtype=np.int64)
    row_splits = np.concatenate([*starts, [len(table)]]).astype(np.int64)
    _require_grouped(table, event_ids)
    return EventRows(event_ids, row_splits)


def _require_grouped(table: RootTable, event_ids: NDArray[np.int64]) -> None:
    _, first = np.unique(event_ids, return_index=True)
    again = np.setdiff1d(np.arange(len(event_ids)), first)
    if again.size:
        raise InvalidEventError(
            table.path,
            event_id=int(event_ids[again[0]]),
            entry=int(again[0]),
            reason=f"its rows in {table.name!r} do not follow each other, "
            "or there are two events of this number; sort the rows by event, or give "
            "files that were merged one by one",
        )


@dataclass(frozen=True, slots=True)
class FlatFile:
    """A ROOT file with one row per space point.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        It names its tree and its column of event numbers.
    rows : EventRows
    """

    path: Location
    columns: ColumnMapping
    rows: EventRows

    @property
    def n_events(self) -> int:
        """Number of events with a space point; other events are not in the file."""
        return len(self.rows.event_ids)

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events; see `EventFile.chunks`."""
        with open_root(self.path) as file:
            table = file.table(self.columns.tree or "")
            for first, end in row_ranges(self.rows.row_splits, start, stop, chunk_size):
                yield self._read(table, first, end)

    def _read(self, table: RootTable, start: int, stop: int) -> EventChunk:
        splits = self.rows.row_splits[start : stop + 1]
        low, high = int(splits[0]), int(splits[-1])
        values = table.rows(self.columns.numbers, low, high)
        coordinates = [values[name] for name in self.columns.coordinates]
        event_ids = self.rows.event_ids[start:stop]
        if self.columns.is_polar:
            require_radians(self.path, coordinates[1], splits - low, event_ids, start)
        return chunk_of_rows(
            self.path,
            stacked(coordinates, is_polar=self.columns.is_polar),
            row_splits=splits - low,
            event_ids=event_ids,
            first_entry=start,
            detector={k: values[v] for k, v in self.columns.detector.items()},
        )


def space_point_tree(content: FileContent) -> str | None:
    """Return the tree with ACTS' space points, or None.

    Measurement ids tell it from other flat tables with a position: the columns of
    simulated hits are ``tx, ty, tz``, and vertices have no measurements. Old files
    have ``measurement_id`` alone, newer ones ``measurement_id_2`` and
    ``geometry_id_2`` beside it.
    """
    wanted = (*COLUMNS.columns, "measurement_id")
    for tree, columns in content.root_tables.items():
        if all(_is_number(columns.get(name)) for name in wanted):
            return tree
    return None


def _is_number(kind: str | None) -> bool:
    return kind is not None and not is_list(kind)


@contextmanager
def open_columns(
    path: Location, columns: ColumnMapping
) -> Iterator[tuple[RootTable, ColumnMapping]]:
    """Open the tree that a mapping names, or else the only one with its positions.

    The mapping comes with the name of the tree and with its `position` resolved.

    Raises
    ------
    UnreadableFileError
        If it is not a ROOT file, truncated or damaged.
    SchemaError
        If there is no such tree, with the nearest names; or if none is named and
        several have the positions.
    """
    with open_root(path) as file:
        names = file.table_names if columns.tree is None else [columns.tree]
        tables = [file.table(name) for name in names]
        if len(tables) > 1:
            tables = [each for each in tables if _has_positions(each, columns)]
        if len(tables) != 1:
            has = ", ".join(repr(each.name) for each in tables) or "none"
            listed = ", ".join(columns.coordinates)
            raise SchemaError(
                path,
                f"expected one tree with the columns {listed}, got {has} of "
                f"{', '.join(map(repr, names)) or 'no trees'}; name the tree",
            )
        (table,) = tables
        yield table, replace(_resolved(table, columns), tree=table.name)


def _resolved(table: RootTable, columns: ColumnMapping) -> ColumnMapping:
    if columns.position is None:
        return columns  # without the types of all columns, which take time
    return columns.resolved(table.column_types)


def _has_positions(table: RootTable, columns: ColumnMapping) -> bool:
    return all(map(table.place, _resolved(table, columns).coordinates))


def is_one_row_a_point(table: RootTable, columns: ColumnMapping) -> bool:
    """Whether the positions are numbers, not lists of them; False if one is missing."""
    names = columns.coordinates
    return all(map(table.place, names)) and table.holds_numbers(names)


def flat_file(table: RootTable, columns: ColumnMapping) -> FlatFile:
    """Check the columns, and find the rows of each event.

    Raises
    ------
    SchemaError
        If a column is missing, or holds something else; or without one of events.
    InvalidEventError
        If the rows of an event do not follow each other.
    """
    event = columns.event
    if event is None:
        raise SchemaError(
            table.path,
            "one row holds one space point, so the rows need the number of their "
            "event; name its column (event)",
        )
    table.require(numbers=columns.numbers, integers=[event])
    return FlatFile(table.path, columns, event_rows(table, event))


def _open(content: FileContent, options: ReadOptions) -> FlatFile:
    """Find the rows of each event, with ACTS' columns or those of a mapping."""
    columns, path = options.columns, content.location
    if columns is None:
        tree = space_point_tree(content)
        if tree is None:
            known = ", ".join((*COLUMNS.columns, "measurement_id"))
            raise SchemaError(path, f"no tree with the columns {known}")
        columns = replace(COLUMNS, tree=tree)
    with open_columns(path, columns) as (table, named):
        return flat_file(table, named)


EVENTS = EventFormat(
    name="flat",
    # Columns that the caller names are told from lists when they are opened.
    recognises=lambda content, options: (
        options.columns is None and space_point_tree(content) is not None
    ),
    open=_open,
)
