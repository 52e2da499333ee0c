"""Space points out of TTrees and RNTuples, any names, one entry per event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError
from producers.model.event import EventChunk
from producers.model.schema import (
    RECOGNISED_LAYOUTS,
    ColumnMapping,
    nearly_recognised,
    recognised,
)
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES, as_event_ids, chunk_of_lists
from producers.readers.formats import ReadOptions
from producers.readers.location import Location
from producers.readers.root_file import RootFile, open_root
from producers.readers.root_table import RootTable, step_of
from sonic_base.errors import nearest_names

__all__ = ["FORMAT", "JaggedFile"]


@dataclass(frozen=True, slots=True)
class JaggedFile:
    """A ROOT file with one entry per event.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        As given, or as recognised; names its tree.
    n_events : int
    """

    path: Location
    columns: ColumnMapping
    n_events: int

    @classmethod
    def inspect(
        cls, path: Location, columns: ColumnMapping | None = None
    ) -> JaggedFile:
        """Find out where the space points are, reading no event.

        Raises
        ------
        UnreadableFileError
            If it is not a ROOT file, truncated or damaged.
        SchemaError
            If the tree or a column of the mapping is not there, or without a
            mapping of the layout that fits nearly, with the nearest names; or if no
            layout fits at all, with the trees.
        """
        with open_root(path) as file:
            found = _recognise(file) if columns is None else _with_tree(file, columns)
            table = _table(file, found)
            ids = () if found.event is None else (found.event,)
            table.require([*found.coordinates, *found.detector.values()], scalars=ids)
            return cls(path, found, len(table))

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
        with open_root(self.path) as file:
            table = _table(file, self.columns)
            step = chunk_size or step_of(table, self.columns.columns, CHUNK_BYTES)
            for first in range(start, stop, step):
                yield self._read(table, first, min(first + step, stop))

    def _read(self, table: RootTable, start: int, stop: int) -> EventChunk:
        columns = self.columns
        names = [*columns.coordinates, *columns.detector.values()]
        return chunk_of_lists(
            self.path,
            dict(zip(names, table.lists(names, start, stop), strict=True)),
            coordinates=columns.coordinates,
            event_ids=self._event_ids(table, start, stop),
            first_entry=start,
            detector=columns.detector,
        )

    def _event_ids(self, table: RootTable, start: int, stop: int) -> NDArray[np.int64]:
        if self.columns.event is None:
            return np.arange(start, stop)
        numbers = table.scalars(self.columns.event, start, stop)
        return as_event_ids(self.path, numbers, start)


def _table(file: RootFile, columns: ColumnMapping) -> RootTable:
    assert columns.tree is not None  # named by `inspect`
    return file.table(columns.tree)


def _with_tree(file: RootFile, columns: ColumnMapping) -> ColumnMapping:
    if columns.tree is not None:
        return columns
    trees = file.table_names
    if len(trees) != 1:
        listed = ", ".join(map(repr, trees)) or "none"
        raise SchemaError(file.path, f"which tree is not said, it has {listed}")
    return replace(columns, tree=trees[0])


def _recognise(file: RootFile) -> ColumnMapping:
    tables = {name: file.table(name).columns for name in file.table_names}
    for name, columns in tables.items():
        layout = recognised(name, columns)
        if layout is not None:
            return layout
    raise SchemaError(file.path, f"{_difference(tables)}; name the tree and columns")


def _difference(tables: Mapping[str, Collection[str]]) -> str:
    nearest = nearly_recognised(tables)
    if nearest is None or nearest.tree is None:
        known = " or ".join(", ".join(layout.columns) for layout in RECOGNISED_LAYOUTS)
        has = ", ".join(map(repr, tables)) or "none"
        return f"no tree with the columns {known} (trees: {has})"
    columns = tables[nearest.tree]
    missing = ", ".join(
        f"no column {name!r} ({nearest_names(name, columns) or 'it has none at all'})"
        for name in nearest.columns
        if name not in columns
    )
    return f"tree {nearest.tree!r} has {missing}"


class _Jagged:
    name = "jagged"
    summary = "TTree or RNTuple, one entry per event, any column names"

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether it has the columns of a known layout; or a mapping says so."""
        if options.columns is not None:
            return content.container == "root"
        return any(recognised(*table) for table in content.root_tables.items())

    def open(self, content: FileContent, options: ReadOptions) -> JaggedFile:
        """As `JaggedFile.inspect`."""
        return JaggedFile.inspect(content.location, options.columns)


FORMAT = _Jagged()
