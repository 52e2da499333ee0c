"""Space points one per row, grouped by their event: as ACTS writes them to ROOT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import InvalidEventError, SchemaError
from producers.model.event import EventChunk
from producers.model.schema import ColumnMapping
from producers.readers.content import FileContent
from producers.readers.event_chunks import (
    CHUNK_BYTES,
    as_event_ids,
    chunk_of_rows,
    stacked,
)
from producers.readers.formats import ReadOptions
from producers.readers.location import Location
from producers.readers.root_file import open_root
from producers.readers.root_table import RootTable
from sonic_base.errors import ConfigError

__all__ = ["FORMAT", "EventRows", "FlatFile", "event_rows", "spacepoint_tree"]

COLUMNS = ColumnMapping(event="event_id", x="x", y="y", z="z")
"""Of ACTS' RootSpacePointWriter, in ``Examples/Io/Root``; the others changed."""

ROWS_PER_LOOK = 2**20


@dataclass(frozen=True, slots=True)
class EventRows:
    """Which rows of a flat table are which event's.

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
    for first in range(0, len(table), ROWS_PER_LOOK):
        stop = min(first + ROWS_PER_LOOK, len(table))
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
            "or there are two events of this number",
        )


@dataclass(frozen=True, slots=True)
class FlatFile:
    """A ROOT file with one row per space point.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        Its tree and its column of events are named.
    rows : EventRows
    """

    path: Location
    columns: ColumnMapping
    rows: EventRows

    @property
    def n_events(self) -> int:
        """Number of events with a space point: others leave no trace."""
        return len(self.rows.event_ids)

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events from `start` to before `stop`, `chunk_size` at a time.

        Raises
        ------
        InvalidEventError
            If a position is not finite.
        UnreadableFileError
            If the file is damaged.
        """
        with open_root(self.path) as file:
            table = file.table(self.columns.tree or "")
            while start < stop:
                end = min(self._end_of_chunk(start, chunk_size), stop)
                yield self._read(table, start, end)
                start = end

    def _end_of_chunk(self, start: int, chunk_size: int | None) -> int:
        if chunk_size is not None:
            return start + chunk_size
        splits = self.rows.row_splits
        n_rows = CHUNK_BYTES // (3 * np.dtype(np.float32).itemsize)
        end = int(np.searchsorted(splits, splits[start] + n_rows, side="right")) - 1
        return max(end, start + 1)

    def _read(self, table: RootTable, start: int, stop: int) -> EventChunk:
        splits = self.rows.row_splits[start : stop + 1]
        low, high = int(splits[0]), int(splits[-1])
        values = table.rows(
            [*self.columns.coordinates, *self.columns.detector.values()], low, high
        )
        return chunk_of_rows(
            self.path,
            stacked([values[name] for name in self.columns.coordinates]),
            row_splits=splits - low,
            event_ids=self.rows.event_ids[start:stop],
            first_entry=start,
            detector={k: values[v] for k, v in self.columns.detector.items()},
        )


def spacepoint_tree(tables: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return the tree with ACTS' space points, or None.

    Measurement ids tell it from other flat tables with a position: the simulated
    hits are ``tx, ty, tz``, and vertices have none. Old files have
    ``measurement_id`` alone, newer ones ``measurement_id_2`` and ``geometry_id_2``
    beside it.
    """
    for tree, columns in tables.items():
        wanted = ("event_id", "x", "y", "z", "measurement_id")
        if all(_is_number(columns.get(name)) for name in wanted):
            return tree
    return None


def _is_number(kind: str | None) -> bool:
    return kind is not None and "[" not in kind and "vector" not in kind


class _Flat:
    name = "flat"
    summary = "ROOT, one row per space point, as ACTS' RootSpacePointWriter"

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether a tree has the columns of ACTS, one number a row each."""
        if options.columns is not None:
            return False
        return spacepoint_tree(content.root_tables) is not None

    def open(self, content: FileContent, options: ReadOptions) -> FlatFile:
        """Find the rows of each event, for ACTS' columns or those of a mapping.

        Raises
        ------
        SchemaError, ConfigError
            If the columns are not there, or the mapping names no event.
        """
        columns = options.columns or COLUMNS
        if columns.event is None:
            raise ConfigError("a flat table needs the name of its column of events")
        with open_root(content.location) as file:
            tree = columns.tree or spacepoint_tree(content.root_tables)
            if tree is None:
                known = ", ".join((*COLUMNS.columns, "measurement_id"))
                raise SchemaError(content.location, f"no tree with the columns {known}")
            table = file.table(tree)
            table.require_rows(
                [*columns.coordinates, *columns.detector.values()], (columns.event,)
            )
            named = ColumnMapping(
                tree=tree,
                event=columns.event,
                x=columns.x,
                y=columns.y,
                z=columns.z,
                **columns.detector,
            )
            return FlatFile(content.location, named, event_rows(table, columns.event))


FORMAT = _Flat()
