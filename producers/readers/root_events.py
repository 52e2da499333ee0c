"""Space points out of TTrees and RNTuples, any names, one entry per event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers.base import EventChunk
from producers.errors import InvalidEventError, SchemaError
from producers.readers.root_file import (
    Lists,
    RootFile,
    RootTable,
    open_root,
    step_of,
)
from producers.schema import (
    RECOGNISED_LAYOUTS,
    ColumnMapping,
    nearly_recognised,
    recognised,
)
from sonic_client.naming import nearest_names

__all__ = ["RootEventFile"]

CHUNK_BYTES = 8 * 2**20
"""Of the columns read, uncompressed: 3 events at pileup 200, 250 without pileup."""


@dataclass(frozen=True, slots=True)
class RootEventFile:
    """A ROOT file with one entry per event.

    Attributes
    ----------
    path : Path
    columns : ColumnMapping
        As given, or as recognised.
    n_events : int
    """

    path: Path
    columns: ColumnMapping
    n_events: int

    @classmethod
    def inspect(cls, path: Path, columns: ColumnMapping | None = None) -> RootEventFile:
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
            found = _recognise(file) if columns is None else columns
            table = file.table(found.tree)
            ids = () if found.event is None else (found.event,)
            table.require([*found.coordinates, *found.detector.values()], scalars=ids)
            return cls(path, found, len(table))

    def chunks(self, n_events: int, chunk_size: int | None) -> Iterator[EventChunk]:
        """Read the first `n_events` events, `chunk_size` at a time.

        Raises
        ------
        InvalidEventError
            If the coordinates of an event have unequal lengths, or are not finite.
        UnreadableFileError
            If the file is damaged.
        """
        with open_root(self.path) as file:
            table = file.table(self.columns.tree)
            step = chunk_size or step_of(table, self.columns.columns, CHUNK_BYTES)
            for start in range(0, n_events, step):
                yield _read(table, self.columns, start, min(start + step, n_events))


def _recognise(file: RootFile) -> ColumnMapping:
    tables = {name: file.table(name).columns for name in file.table_names}
    for name, columns in tables.items():
        layout = recognised(name, columns)
        if layout is not None:
            return layout
    raise SchemaError(file.path, f"{_difference(tables)}; name the tree and columns")


def _difference(tables: Mapping[str, Collection[str]]) -> str:
    nearest = nearly_recognised(tables)
    if nearest is None:
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


def _read(
    table: RootTable, columns: ColumnMapping, start: int, stop: int
) -> EventChunk:
    event_ids = _event_ids(table, columns, start, stop)
    names = [*columns.coordinates, *columns.detector.values()]
    lists = dict(zip(names, table.lists(names, start, stop), strict=True))
    counts = lists[columns.x].counts
    for name in names:
        uneven = np.flatnonzero(lists[name].counts != counts)
        if uneven.size:
            _refuse_uneven(table, lists, event_ids, int(uneven[0]), start)
    # A double beyond float32 becomes infinite here, and is refused as that.
    with np.errstate(over="ignore"):
        xyz = np.empty((int(counts.sum()), 3), dtype=np.float32)
        for axis, name in enumerate(columns.coordinates):
            xyz[:, axis] = lists[name].values
    row_splits = np.concatenate(([0], np.cumsum(counts)))
    chunk = EventChunk(
        event_ids=event_ids,
        row_splits=row_splits,
        xyz=xyz,
        source=table.path,
        first_entry=start,
        detector={
            kind: lists[name].values.astype(np.int64)
            for kind, name in columns.detector.items()
        },
    )
    require_finite(chunk)
    return chunk


def _event_ids(
    table: RootTable, columns: ColumnMapping, start: int, stop: int
) -> NDArray[np.int64]:
    if columns.event is None:
        return np.arange(start, stop)
    ids = table.scalars(columns.event, start, stop)
    too_large = np.flatnonzero(ids > np.iinfo(np.int64).max)
    if too_large.size:
        raise InvalidEventError(
            table.path,
            event_id=int(ids[too_large[0]]),
            entry=start + int(too_large[0]),
            reason="its number does not fit a signed 64-bit integer",
        )
    return ids.astype(np.int64)


def _refuse_uneven(
    table: RootTable,
    lists: dict[str, Lists],
    event_ids: NDArray[np.int64],
    index: int,
    start: int,
) -> None:
    lengths = ", ".join(f"{name} {col.counts[index]}" for name, col in lists.items())
    raise InvalidEventError(
        table.path,
        event_id=int(event_ids[index]),
        entry=start + index,
        reason=f"columns of unequal length: {lengths}",
    )


def require_finite(chunk: EventChunk) -> None:
    """Raise InvalidEventError for the first event with a NaN or infinite position."""
    is_finite = np.isfinite(chunk.xyz)
    if is_finite.all():
        return
    row, axis = (int(index) for index in np.argwhere(~is_finite)[0])
    index = int(np.searchsorted(chunk.row_splits, row, side="right")) - 1
    raise InvalidEventError(
        chunk.source,
        event_id=int(chunk.event_ids[index]),
        entry=chunk.first_entry + index,
        reason=f"{'xyz'[axis]} of space point {row - int(chunk.row_splits[index])} "
        f"is {chunk.xyz[row, axis]}, expected a finite number",
    )
