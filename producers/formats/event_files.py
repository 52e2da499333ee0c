"""Files of events in the two shapes that most formats have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import ReadOptions
from producers.formats.chunks import (
    CHUNK_BYTES,
    as_event_ids,
    chunk_of_lists,
    chunk_of_rows,
    stacked,
)
from producers.io.content import FileContent
from producers.io.csv_table import event_number, read_csv
from producers.io.location import Location
from producers.io.tables import Block, Table
from producers.model.event import EventChunk
from producers.model.schema import ColumnMapping


@dataclass(frozen=True, slots=True)
class ListFile:
    """A file with one entry per event.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        The columns that are read.
    n_events : int
    open_table : callable
        Opens the table of the events. It must be picklable, for distributed jobs.
    """

    path: Location
    columns: ColumnMapping
    n_events: int
    open_table: Callable[[Location], AbstractContextManager[Table]]

    @classmethod
    def inspect(
        cls,
        path: Location,
        columns: ColumnMapping,
        open_table: Callable[[Location], AbstractContextManager[Table]],
    ) -> ListFile:
        """Check the columns, without reading an event.

        Raises
        ------
        UnreadableFileError
            If the file is of another kind, truncated or damaged.
        SchemaError
            If the tree or a column is missing, with the nearest names, or holds
            something else.
        """
        with open_table(path) as table:
            if columns.position is not None:
                columns = columns.resolved(table.column_types)
            return cls.checked(path, columns, table, open_table)

    @classmethod
    def checked(
        cls,
        path: Location,
        columns: ColumnMapping,
        table: Table,
        open_table: Callable[[Location], AbstractContextManager[Table]],
    ) -> ListFile:
        """Check the columns of a table that is open; see `inspect`."""
        integers = () if columns.event is None else (columns.event,)
        table.require(lists=columns.numbers, integers=integers)
        return cls(path, columns, len(table), open_table)

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events; see `EventFile.chunks`."""
        columns = self.columns
        scalars = () if columns.event is None else (columns.event,)
        with self.open_table(self.path) as table:
            step = chunk_size or table.entries_in(CHUNK_BYTES, columns.columns)
            blocks = table.blocks(
                columns.numbers, scalars, start=start, stop=stop, step=step
            )
            # No name keeps a block in memory while its chunk is in use.
            yield from map(self._chunk, blocks)

    def _chunk(self, block: Block) -> EventChunk:
        return chunk_of_lists(
            self.path,
            block.lists,
            coordinates=self.columns.coordinates,
            is_polar=self.columns.is_polar,
            event_ids=self._event_ids(block),
            first_entry=block.first,
            detector=self.columns.detector,
        )

    def _event_ids(self, block: Block) -> NDArray[np.int64]:
        if self.columns.event is None:
            n_events = len(block.lists[self.columns.coordinates[0]].counts)
            return np.arange(block.first, block.first + n_events)
        numbers = block.scalars[self.columns.event]
        return as_event_ids(self.path, numbers, block.first)


@dataclass(frozen=True, slots=True)
class SingleEventFile:
    """A file of one event, which is read when it is asked for.

    Attributes
    ----------
    path : Path or str
    event_id : int
    read : callable
        Returns the positions, shape (n_space_points, 3), in mm, from the path.
    """

    path: Location
    event_id: int
    read: Callable[[Location], NDArray[np.float32]]
    n_events: int = 1

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the event; see `EventFile.chunks`."""
        if start < stop:
            xyz = self.read(self.path)
            yield chunk_of_rows(
                self.path,
                xyz,
                row_splits=np.array([0, len(xyz)], dtype=np.int64),
                event_ids=np.array([self.event_id], dtype=np.int64),
            )


def open_csv_of_positions(
    content: FileContent, options: ReadOptions
) -> SingleEventFile:
    """Return the event of a csv file with columns x, y and z in mm.

    Its number is the one in the name of the file, if there is one.
    """
    number = event_number(content.location)
    event_id = options.position if number is None else number
    return SingleEventFile(content.location, event_id, _positions)


def _positions(path: Location) -> NDArray[np.float32]:
    table = read_csv(path, dict.fromkeys("xyz", np.float64))
    return stacked([table[axis] for axis in "xyz"])
