"""Space points in TTrees and RNTuples with any column names, one entry per event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.chunks import (
    CHUNK_BYTES,
    as_event_ids,
    chunk_of_lists,
    ranges,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootFile, RootTable, open_root
from producers.io.root_writer import RootWriter, TableSpec
from producers.model.errors import SchemaError
from producers.model.event import EventChunk
from producers.model.schema import (
    RECOGNISED_LAYOUTS,
    ColumnMapping,
    nearly_recognised,
    recognised,
)
from producers.model.types import AnyArray
from sonic_base.errors import nearest_names

__all__ = ["EVENTS", "JaggedFile", "MeasuredEvent", "SpacePointWriter"]


@dataclass(frozen=True, slots=True)
class JaggedFile:
    """A ROOT file with one entry per event.

    Attributes
    ----------
    path : Path or str
    columns : ColumnMapping
        As given, or as recognised; it names its tree.
    n_events : int
    """

    path: Location
    columns: ColumnMapping
    n_events: int

    @classmethod
    def inspect(
        cls, path: Location, columns: ColumnMapping | None = None
    ) -> JaggedFile:
        """Find the columns of the space points, without reading an event.

        Raises
        ------
        UnreadableFileError
            If it is not a ROOT file, truncated or damaged.
        SchemaError
            If the tree or a column of the mapping is missing, with the nearest names.
            Without a mapping: if the file has no known layout; compares it with the
            nearest layout, or lists the trees.
        """
        with open_root(path) as file:
            found = _recognise(file) if columns is None else _with_tree(file, columns)
            table = file.table(found.tree or "")
            integers = () if found.event is None else (found.event,)
            table.require(lists=found.numbers, integers=integers)
            return cls(path, found, len(table))

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events; see `EventFile.chunks`."""
        columns = self.columns
        with open_root(self.path) as file:
            table = file.table(columns.tree or "")
            step = chunk_size or table.entries_in(CHUNK_BYTES, columns.columns)
            for first, end in ranges(start, stop, step):
                lists = table.lists(columns.numbers, first, end)
                yield chunk_of_lists(
                    self.path,
                    dict(zip(columns.numbers, lists, strict=True)),
                    coordinates=columns.coordinates,
                    event_ids=self._event_ids(table, first, end),
                    first_entry=first,
                    detector=columns.detector,
                )

    def _event_ids(self, table: RootTable, start: int, stop: int) -> NDArray[np.int64]:
        if self.columns.event is None:
            return np.arange(start, stop)
        numbers = table.scalars(self.columns.event, start, stop)
        return as_event_ids(self.path, numbers, start)


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


def _recognises(content: FileContent, options: ReadOptions) -> bool:
    """Whether a tree has the columns of a known layout, or the caller names them."""
    if options.columns is not None:
        return content.container == "root"
    return any(recognised(*table) for table in content.root_tables.items())


EVENTS = EventFormat(
    name="jagged",
    summary="TTree or RNTuple, one entry per event, any column names",
    recognises=_recognises,
    open=lambda content, options: JaggedFile.inspect(content.location, options.columns),
)


class MeasuredEvent(Protocol):
    """The measured quantities of an event; arrays of one length, which may be zero."""

    @property
    def event_id(self) -> int:
        """Number of the event in its sample."""

    @property
    def xyz(self) -> NDArray[np.floating]:
        """Positions, shape (n_space_points, 3), in mm, beam along z."""

    @property
    def volume_id(self) -> AnyArray:
        """Detector volume of each space point, integer."""

    @property
    def layer_id(self) -> AnyArray:
        """Layer in the volume, integer."""

    @property
    def module_id(self) -> AnyArray:
        """Module on the layer, integer."""


class SpacePointWriter(RootWriter):
    """Writes a file of space points, in the columns that `open_events` recognises.

    The table ``events`` has one entry per event: ``event`` (int64), and lists
    ``sp_x, sp_y, sp_z`` (float32, mm) and ``sp_volume_id, sp_layer_id,
    sp_module_id`` (int32). As an RNTuple, ``sp`` is a list of records ``x, y, z,
    volume_id, ...``. Parameters and errors are those of `RootWriter`.
    """

    specs: ClassVar = (
        TableSpec(
            name="events",
            columns=dict.fromkeys(("sp_x", "sp_y", "sp_z"), np.float32)
            | dict.fromkeys(("sp_volume_id", "sp_layer_id", "sp_module_id"), np.int32),
            record="sp",
        ),
    )

    def write(self, event: MeasuredEvent) -> None:
        """Add one event; its arrays are not copied, so leave them unchanged.

        Raises
        ------
        ValueError
            If its arrays have different lengths or wrong types.
        OutputError
            If the file cannot be written.
        """
        x, y, z = event.xyz.T
        columns = {
            "sp_x": x,
            "sp_y": y,
            "sp_z": z,
            "sp_volume_id": event.volume_id,
            "sp_layer_id": event.layer_id,
            "sp_module_id": event.module_id,
        }
        self._append(event.event_id, {"events": columns})
