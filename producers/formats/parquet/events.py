"""Space points in parquet files with any column names, one row per event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.chunks import CHUNK_BYTES, as_event_ids, chunk_of_lists
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.parquet import ParquetTable, open_parquet
from producers.model.errors import SchemaError
from producers.model.event import EventChunk
from producers.model.schema import RECOGNISED_LAYOUTS, ColumnMapping, recognised
from producers.model.types import Untyped

__all__ = ["EVENTS", "ParquetFile"]


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A parquet file with one row per event.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        As given, or as recognised; members of lists of records as ``sp.x``.
    n_events : int
    """

    path: Location
    columns: ColumnMapping
    n_events: int

    @classmethod
    def inspect(cls, path: Location, columns: ColumnMapping) -> ParquetFile:
        """Check the columns, without reading a row.

        Raises
        ------
        UnreadableFileError
            If the file is truncated or damaged.
        SchemaError
            If a column is missing, or holds something else.
        """
        with open_parquet(path) as table:
            integers = () if columns.event is None else (columns.event,)
            table.require(lists=columns.numbers, integers=integers)
            return cls(path, columns, len(table))

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events; see `EventFile.chunks`."""
        columns = self.columns.columns
        with open_parquet(self.path) as table:
            step = chunk_size or table.rows_in(CHUNK_BYTES, columns)
            for first, block in table.blocks(columns, start, stop, step):
                yield self._chunk(table, first, block)

    def _chunk(
        self, table: ParquetTable, first: int, block: Mapping[str, Untyped]
    ) -> EventChunk:
        lists = {name: table.lists(block[name], name) for name in self.columns.numbers}
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
        self,
        table: ParquetTable,
        block: Mapping[str, Untyped],
        first: int,
        n_events: int,
    ) -> NDArray[np.int64]:
        name = self.columns.event
        if name is None:
            return np.arange(first, first + n_events)
        return as_event_ids(self.path, table.scalars(block[name], name), first)


def _recognises(content: FileContent, options: ReadOptions) -> bool:
    """Whether the columns are of a known layout, or the caller names them."""
    if options.columns is not None:
        return content.container == "parquet"
    return recognised(None, content.parquet_columns) is not None


def _open(content: FileContent, options: ReadOptions) -> ParquetFile:
    columns = options.columns or recognised(None, content.parquet_columns)
    if columns is None:
        known = " or ".join(", ".join(each.columns) for each in RECOGNISED_LAYOUTS)
        has = ", ".join(content.parquet_columns)
        raise SchemaError(
            content.location, f"none of the columns {known}; name them (has: {has})"
        )
    return ParquetFile.inspect(content.location, columns)


EVENTS = EventFormat(
    name="parquet",
    summary="parquet, one row per event, any column names",
    recognises=_recognises,
    open=_open,
)
