"""Space points in TTrees and RNTuples with any column names, one entry per event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.event_files import ListFile
from producers.formats.flat.events import (
    FlatFile,
    flat_file,
    is_one_row_a_point,
    open_columns,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, open_root
from producers.io.root_writer import RootWriter, TableSpec
from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.schema import (
    RECOGNISED_LAYOUTS,
    ColumnMapping,
    nearly_recognised,
    recognised,
)
from producers.model.types import AnyArray
from sonic_base import nearest_names


@contextmanager
def open_tree(path: Location, tree: str | None) -> Iterator[RootTable]:
    """Open the TTree or RNTuple of this name, or the only one of the file.

    Raises
    ------
    UnreadableFileError
        If it is not a ROOT file, truncated or damaged.
    SchemaError
        If there is no such tree, with the nearest names; or if none is named and the
        file has not exactly one.
    """
    with open_root(path) as file:
        trees = file.table_names
        if tree is None and len(trees) != 1:
            listed = ", ".join(map(repr, trees)) or "none"
            raise SchemaError(path, f"expected one tree, got {listed}; name the tree")
        yield file.table(tree or trees[0])


def _layout_of(content: FileContent) -> ColumnMapping:
    """Return the known layout of a file, or compare it with the nearest one."""
    if content.container != "root":
        raise UnreadableFileError(content.location, "not a ROOT file")
    tables = content.root_tables
    for name, columns in tables.items():
        layout = recognised(name, columns)
        if layout is not None:
            return layout
    difference = _difference(tables)
    raise SchemaError(content.location, f"{difference}; name its columns (--columns)")


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


def open_lists(path: Location, columns: ColumnMapping) -> ListFile:
    """Return the file, its columns checked; see `ListFile.inspect`."""
    return ListFile.inspect(path, columns, partial(open_tree, tree=columns.tree))


def _open(content: FileContent, options: ReadOptions) -> ListFile | FlatFile:
    """Return the file; one row a point, too, if the caller names such columns."""
    path = content.location
    if options.columns is None:
        return open_lists(path, _layout_of(content))
    with open_columns(path, options.columns) as (table, columns):
        if is_one_row_a_point(table, columns):
            return flat_file(table, columns)
        open_table = partial(open_tree, tree=columns.tree)
        return ListFile.checked(path, columns, table, open_table)


EVENTS = EventFormat(
    name="jagged",
    recognises=_recognises,
    open=_open,
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
