"""Chunks of events from the columns of a file, with checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from producers.io.location import Location
from producers.io.tables import Lists
from producers.model.chunk import part_ends, splits_of
from producers.model.errors import InvalidEventError
from producers.model.event import EventChunk
from producers.model.types import AnyArray

CHUNK_BYTES = 8 * 2**20
"""Uncompressed size of the columns read at once: 3 events at pileup 200, 250 without
pileup."""

LARGEST_AZIMUTH = 6.3
"""In rad: a turn, and what rounding adds to it."""

BYTES_PER_ROW = 3 * np.dtype(np.float32).itemsize


def ranges(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of ranges of `step` events, the last one shorter."""
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def row_ranges(
    row_splits: NDArray[np.int64], start: int, stop: int, chunk_size: int | None
) -> Iterator[tuple[int, int]]:
    """Yield the start and end of ranges of events, as `EventFile.chunks` reads them.

    Parameters
    ----------
    row_splits : ndarray, shape (n_events + 1,), int64
        Event i has the rows ``row_splits[i]:row_splits[i + 1]``, 12 bytes each.
    start, stop : int
    chunk_size : int, optional
        Without it, a range has at most `CHUNK_BYTES`, but at least one event.
    """
    ends = part_ends(
        row_splits[start : stop + 1],
        n_rows=CHUNK_BYTES // BYTES_PER_ROW if chunk_size is None else row_splits[-1],
        n_events=chunk_size or stop - start,
    )
    yield from pairwise(start + end for end in (0, *ends))


def chunk_of_lists(
    path: Location,
    lists: Mapping[str, Lists],
    *,
    coordinates: Sequence[str],
    is_polar: bool = False,
    event_ids: NDArray[np.int64],
    first_entry: int,
    detector: Mapping[str, str],
) -> EventChunk:
    """Return events from columns that hold one list per event.

    Parameters
    ----------
    path : Path or str
    lists : mapping of str to Lists
        Columns by name.
    coordinates : sequence of str
        Names of x, y and z; or of r, phi and z.
    is_polar : bool
        Whether they are r, phi and z.
    event_ids : ndarray, shape (n_events,), int64
    first_entry : int
    detector : mapping of str to str
        Names of the columns of detector elements, by kind.

    Raises
    ------
    InvalidEventError
        If the lists of an event have unequal lengths, a position is not finite, or an
        azimuth is not in radians.
    """
    counts = lists[coordinates[0]].counts
    for column in lists.values():
        uneven = np.flatnonzero(column.counts != counts)
        if uneven.size:
            index = int(uneven[0])
            lengths = ", ".join(f"{k} {col.counts[index]}" for k, col in lists.items())
            raise InvalidEventError(
                path,
                event_id=int(event_ids[index]),
                entry=first_entry + index,
                reason=f"columns of unequal length: {lengths}",
            )
    row_splits = splits_of(counts)
    values = [lists[name].values for name in coordinates]
    if is_polar:
        require_radians(path, values[1], row_splits, event_ids, first_entry)
    return chunk_of_rows(
        path,
        stacked(values, is_polar=is_polar),
        row_splits=row_splits,
        event_ids=event_ids,
        first_entry=first_entry,
        detector={kind: lists[name].values for kind, name in detector.items()},
    )


def chunk_of_rows(
    path: Location,
    xyz: NDArray[np.float32],
    *,
    row_splits: NDArray[np.int64],
    event_ids: NDArray[np.int64],
    first_entry: int = 0,
    detector: Mapping[str, AnyArray] | None = None,
) -> EventChunk:
    """Return events from rows of space points.

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


def require_radians(
    path: Location,
    phi: AnyArray,
    row_splits: NDArray[np.int64],
    event_ids: NDArray[np.int64],
    first_entry: int,
) -> None:
    """Refuse azimuths in degrees: as radians they are other positions at the same r, z.

    Raises
    ------
    InvalidEventError
        If a finite azimuth is beyond a full turn; names the first event with one.
    """
    beyond = np.flatnonzero((np.abs(phi) > LARGEST_AZIMUTH) & np.isfinite(phi))
    if not beyond.size:
        return
    row = int(beyond[0])
    index = int(np.searchsorted(row_splits, row, side="right")) - 1
    raise InvalidEventError(
        path,
        event_id=int(event_ids[index]),
        entry=first_entry + index,
        reason=f"phi of space point {row - int(row_splits[index])} is {phi[row]:.6g}, "
        "expected radians, -2 pi to 2 pi; convert it if it is in degrees",
    )


def stacked(
    columns: Sequence[AnyArray], *, is_polar: bool = False
) -> NDArray[np.float32]:
    """Return x, y and z, or r, phi (in rad) and z, as positions, shape (n, 3), float32.

    A double beyond float32 becomes infinite, which `chunk_of_rows` refuses.
    """
    if is_polar:
        r, phi, z = columns
        r, phi = r.astype(np.float64), phi.astype(np.float64)
        with np.errstate(invalid="ignore"):  # an infinite phi gives nan: refused, too
            columns = (r * np.cos(phi), r * np.sin(phi), z)
    xyz = np.empty((len(columns[0]), 3), dtype=np.float32)
    with np.errstate(over="ignore"):
        for axis, values in enumerate(columns):
            xyz[:, axis] = values
    return xyz


def as_event_ids(
    path: Location, numbers: AnyArray, first_entry: int
) -> NDArray[np.int64]:
    """Return the numbers of events as int64.

    Raises
    ------
    InvalidEventError
        If a number is too large.
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
