"""Chunks of events out of the columns of a file, checked on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import InvalidEventError
from producers.model.event import EventChunk
from producers.readers.location import Location
from producers.readers.root_table import Lists

__all__ = ["CHUNK_BYTES", "as_event_ids", "chunk_of_lists", "chunk_of_rows", "stacked"]

CHUNK_BYTES = 8 * 2**20
"""Of the columns read, uncompressed: 3 events at pileup 200, 250 without pileup."""


def chunk_of_lists(
    path: Location,
    lists: Mapping[str, Lists],
    *,
    coordinates: Sequence[str],
    event_ids: NDArray[np.int64],
    first_entry: int,
    detector: Mapping[str, str] | None = None,
) -> EventChunk:
    """Return events whose columns hold one list per event.

    Parameters
    ----------
    path : Path or str
    lists : mapping of str to Lists
        Columns by name.
    coordinates : sequence of str
        Names of x, y and z.
    event_ids : ndarray, shape (n_events,), int64
    first_entry : int
    detector : mapping of str to str, optional
        Names of the columns of detector elements, by kind.

    Raises
    ------
    InvalidEventError
        If the lists of an event have unequal lengths, or a position is not finite.
    """
    counts = lists[coordinates[0]].counts
    for column in lists.values():
        uneven = np.flatnonzero(column.counts != counts)
        if uneven.size:
            _refuse_uneven(path, lists, event_ids, int(uneven[0]), first_entry)
    return chunk_of_rows(
        path,
        stacked([lists[name].values for name in coordinates]),
        row_splits=np.concatenate(([0], np.cumsum(counts))),
        event_ids=event_ids,
        first_entry=first_entry,
        detector={k: lists[name].values for k, name in (detector or {}).items()},
    )


def chunk_of_rows(
    path: Location,
    xyz: NDArray[np.float32],
    *,
    row_splits: NDArray[np.int64],
    event_ids: NDArray[np.int64],
    first_entry: int = 0,
    # Any: integers of any width.
    detector: Mapping[str, NDArray[Any]] | None = None,
) -> EventChunk:
    """Return events that are cut out of rows of space points.

    Raises
    ------
    InvalidEventError
        If a position is not finite; names the first event with one.
    """
    chunk = EventChunk(
        event_ids=event_ids,
        row_splits=row_splits,
        xyz=xyz,
        source=path,
        first_entry=first_entry,
        detector={k: v.astype(np.int64) for k, v in (detector or {}).items()},
    )
    is_finite = np.isfinite(chunk.xyz)
    if is_finite.all():
        return chunk
    row, axis = (int(index) for index in np.argwhere(~is_finite)[0])
    index = int(np.searchsorted(chunk.row_splits, row, side="right")) - 1
    raise InvalidEventError(
        path,
        event_id=int(event_ids[index]),
        entry=first_entry + index,
        reason=f"{'xyz'[axis]} of space point {row - int(row_splits[index])} "
        f"is {xyz[row, axis]}, expected a finite number",
    )


# Any: numbers of any type.
def stacked(columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return x, y and z as positions, shape (n, 3), float32.

    A double beyond float32 becomes infinite, and is refused as that later.
    """
    xyz = np.empty((len(columns[0]), 3), dtype=np.float32)
    with np.errstate(over="ignore"):
        for axis, values in enumerate(columns):
            xyz[:, axis] = values
    return xyz


# Any: integers of any width.
def as_event_ids(
    path: Location, numbers: NDArray[Any], first_entry: int
) -> NDArray[np.int64]:
    """Return the events' numbers as int64.

    Raises
    ------
    InvalidEventError
        If one does not fit.
    """
    too_large = np.flatnonzero(numbers > np.iinfo(np.int64).max)
    if too_large.size:
        raise InvalidEventError(
            path,
            event_id=int(numbers[too_large[0]]),
            entry=first_entry + int(too_large[0]),
            reason="its number does not fit a signed 64-bit integer",
        )
    return numbers.astype(np.int64)


def _refuse_uneven(
    path: Location,
    lists: Mapping[str, Lists],
    event_ids: NDArray[np.int64],
    index: int,
    first_entry: int,
) -> None:
    lengths = ", ".join(f"{name} {col.counts[index]}" for name, col in lists.items())
    raise InvalidEventError(
        path,
        event_id=int(event_ids[index]),
        entry=first_entry + index,
        reason=f"columns of unequal length: {lengths}",
    )
