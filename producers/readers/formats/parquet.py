"""Space points out of parquet files, any names, one row per event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError
from producers.model.event import EventChunk
from producers.model.schema import RECOGNISED_LAYOUTS, ColumnMapping, recognised
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES, as_event_ids, chunk_of_lists
from producers.readers.formats import ReadOptions
from producers.readers.location import Location
from producers.readers.parquet_file import ParquetTable, open_parquet

__all__ = ["FORMAT", "ParquetFile"]


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A parquet file with one row per event.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        As given, or as recognised; lists of records as ``sp.x``.
    n_events : int
    """

    path: Location
    columns: ColumnMapping
    n_events: int

    @classmethod
    def inspect(cls, path: Location, columns: ColumnMapping) -> ParquetFile:
        """Check the columns, reading no row.

        Raises
        ------
        UnreadableFileError
            If the file is truncated or damaged.
        SchemaError
            If a column is not there, or holds something else.
        """
        with open_parquet(path) as table:
            ids = () if columns.event is None else (columns.event,)
            names = [*columns.coordinates, *columns.detector.values()]
            table.require(names, scalars=ids)
            return cls(path, columns, len(table))

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events from `start` to before `stop`, `chunk_size` at a time.

        Raises
        ------
        InvalidEventError
            If the coordinates of an event have unequal lengths, or are not finite.
        UnreadableFileError
            If the file is damaged.
        """
        columns = self.columns.columns
        with open_parquet(self.path) as table:
            step = chunk_size or table.step_of(columns, CHUNK_BYTES)
            for first, block in table.blocks(columns, start, stop, step):
                yield self._chunk(table, first, block)

    # Any: pyarrow has no type information.
    def _chunk(
        self, table: ParquetTable, first: int, block: Mapping[str, Any]
    ) -> EventChunk:
        names = [*self.columns.coordinates, *self.columns.detector.values()]
        lists = {name: table.lists(block[name], name) for name in names}
        n_events = len(lists[self.columns.x].counts)
        return chunk_of_lists(
            self.path,
            lists,
            coordinates=self.columns.coordinates,
            event_ids=self._event_ids(table, block, first, n_events),
            first_entry=first,
            detector=self.columns.detector,
        )

    def _event_ids(
        self, table: ParquetTable, block: Mapping[str, Any], first: int, n_events: int
    ) -> NDArray[np.int64]:
        name = self.columns.event
        if name is None:
            return np.arange(first, first + n_events)
        return as_event_ids(self.path, table.scalars(block[name], name), first)


def _layout(columns: Collection[str]) -> ColumnMapping | None:
    return recognised(None, columns)


class _Parquet:
    name = "parquet"
    summary = "parquet, one row per event, any column names"

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether it has the columns of a known layout; or a mapping says so."""
        if options.columns is not None:
            return content.container == "parquet"
        return _layout(content.parquet_columns) is not None

    def open(self, content: FileContent, options: ReadOptions) -> ParquetFile:
        """As `ParquetFile.inspect`.

        Raises
        ------
        SchemaError
            If no layout is known, and none was given.
        """
        columns = options.columns or _layout(content.parquet_columns)
        if columns is None:
            known = " or ".join(", ".join(each.columns) for each in RECOGNISED_LAYOUTS)
            has = ", ".join(content.parquet_columns)
            raise SchemaError(
                content.location, f"none of the columns {known}; name them (has: {has})"
            )
        return ParquetFile.inspect(content.location, columns)


FORMAT = _Parquet()
