"""Positions in numpy's own files: one event in .npy, several in .npz."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, NamedTuple
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.chunks import as_event_ids, chunk_of_rows, row_ranges, stacked
from producers.io.content import FileContent
from producers.io.location import Location, damaged_file_named, open_binary
from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.event import EventChunk
from producers.model.types import AnyArray
from sonic_base import check_inflated_size


@dataclass(frozen=True, slots=True)
class NumpyFile:
    """A .npz of ``xyz``, ``row_splits`` and perhaps ``event_ids``; or a .npy of xyz.

    Attributes
    ----------
    path : Path or str
    row_splits : ndarray, shape (n_events + 1,), int64
        Event i has the rows ``row_splits[i]:row_splits[i + 1]`` of ``xyz``.
    event_ids : ndarray, shape (n_events,), int64
    """

    path: Location
    row_splits: NDArray[np.int64]
    event_ids: NDArray[np.int64]

    @property
    def n_events(self) -> int:
        """Number of events in the file."""
        return len(self.event_ids)

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events; see `EventFile.chunks`."""
        with _open_xyz(self.path) as rows:
            rows.skip(int(self.row_splits[start]))
            for first, end in row_ranges(self.row_splits, start, stop, chunk_size):
                splits = self.row_splits[first : end + 1]
                yield chunk_of_rows(
                    self.path,
                    stacked(rows.read(int(splits[-1] - splits[0]))),
                    row_splits=splits - splits[0],
                    event_ids=self.event_ids[first:end],
                    first_entry=first,
                )


class _Array(NamedTuple):
    """The header of an array in a file.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
        Integers or floating point, of any byte order.
    is_fortran : bool
        Whether the first index varies fastest, as in a transposed array.
    start : int
        Position of the first value in the stream.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    is_fortran: bool
    start: int


def _header(path: Location, stream: IO[bytes], n_bytes: int) -> _Array:
    """Read the header of an array, in a stream of `n_bytes`.

    Raises
    ------
    UnreadableFileError
        If it is damaged, or the stream is shorter than the array.
    SchemaError
        If the array does not hold numbers.
    """
    with damaged_file_named(path, "numpy", "the header of an array"):
        version = npy.read_magic(stream)
        readers = {
            (1, 0): npy.read_array_header_1_0,
            (2, 0): npy.read_array_header_2_0,
        }
        read = readers.get(version)
        shape, is_fortran, dtype = read(stream) if read else ((), False, None)
    if dtype is None or dtype.kind not in "iuf":
        # Objects would have to be unpickled, which runs code of the file. Version 3
        # is for structured arrays.
        raise SchemaError(
            path, f"expected an array of numbers, got {dtype or 'records'}"
        )
    # Before anything is allocated: a damaged header may claim any number of values.
    start = stream.tell()
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > n_bytes - start:
        raise UnreadableFileError(
            path,
            f"truncated numpy file: an array of shape {shape} has {claimed} bytes, "
            f"{max(n_bytes - start, 0)} are there",
        )
    return _Array(shape, dtype, is_fortran, start)


class _Rows:
    """The rows of an array of positions, read one after another.

    Parameters
    ----------
    path : Path or str
    array : _Array
        Of shape (n_rows, 3).
    streams : sequence of file
        One at the start of the rows; or three, each at the start of a column.
    """

    def __init__(
        self, path: Location, array: _Array, streams: Sequence[IO[bytes]]
    ) -> None:
        self._path, self._streams = path, streams
        self._dtype, self.n_rows = array.dtype, array.shape[0]
        self._n_columns = array.shape[1] // len(streams)

    def read(self, n_rows: int) -> list[AnyArray]:
        """Return x, y and z of the next rows."""
        parts = [
            _values(self._path, stream, self._dtype, n_rows * self._n_columns)
            for stream in self._streams
        ]
        return [
            part[column :: self._n_columns]
            for part in parts
            for column in range(self._n_columns)
        ]

    def skip(self, n_rows: int) -> None:
        for stream in self._streams:
            stream.seek(n_rows * self._n_columns * self._dtype.itemsize, 1)


def _values(
    path: Location, stream: IO[bytes], dtype: np.dtype[np.generic], count: int
) -> AnyArray:
    n_bytes = count * dtype.itemsize
    with damaged_file_named(path, "numpy", "an array"):
        data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise UnreadableFileError(path, "truncated numpy file")
    return np.frombuffer(data, dtype)


@contextmanager
def _open_xyz(path: Location) -> Iterator[_Rows]:
    with ExitStack() as stack:
        opened = stack.enter_context(_member(path, "xyz"))
        if opened is None:
            raise SchemaError(path, "no array 'xyz'")
        stream, array = opened
        if len(array.shape) != 2 or array.shape[1] != 3:
            raise SchemaError(
                path, f"'xyz': expected shape (n_space_points, 3), got {array.shape}"
            )
        streams = [stream]
        if array.is_fortran:
            # A stream for each column, so that they are read side by side.
            for column in (1, 2):
                again = stack.enter_context(_member(path, "xyz"))
                assert again is not None  # it was there before
                again[0].seek(column * array.shape[0] * array.dtype.itemsize, 1)
                streams.append(again[0])
        yield _Rows(path, array, streams)


@contextmanager
def _member(path: Location, name: str) -> Iterator[tuple[IO[bytes], _Array] | None]:
    """Open an array of a .npz at its first value; None if it is not there.

    A .npy itself is ``xyz``.
    """
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(open_binary(path))
        with damaged_file_named(path, "numpy", "its list of arrays"):
            archive = ZipFile(file) if is_zipfile(file) else None
        if archive is None:
            n_bytes = file.seek(0, 2)
            file.seek(0)
            yield (file, _header(path, file, n_bytes)) if name == "xyz" else None
            return
        stack.enter_context(archive)
        if f"{name}.npy" not in archive.namelist():
            yield None
            return
        with damaged_file_named(path, "numpy", f"the array {name!r}"):
            if name != "xyz":  # which is read piece by piece
                check_inflated_size(archive)
            info = archive.getinfo(f"{name}.npy")
            stream = stack.enter_context(archive.open(info))
        # Deflate makes data at most 1032 times smaller.
        n_bytes = min(info.file_size, 1032 * info.compress_size)
        yield stream, _header(path, stream, n_bytes)


def _integers(path: Location, name: str) -> AnyArray | None:
    """Read the whole of an array of integers; None if there is none."""
    with _member(path, name) as opened:
        if opened is None:
            return None
        stream, array = opened
        if len(array.shape) != 1 or array.dtype.kind not in "iu":
            raise SchemaError(
                path,
                f"{name!r}: expected a list of integers, "
                f"got {array.dtype} of shape {array.shape}",
            )
        return _values(path, stream, array.dtype, array.shape[0])


def _open(content: FileContent, options: ReadOptions) -> NumpyFile:
    """Read the offsets and numbers of the events, not their positions."""
    path = content.location
    with _open_xyz(path) as rows:
        n_rows = rows.n_rows
    splits, ids = _integers(path, "row_splits"), _integers(path, "event_ids")
    first_id = options.position if splits is None else 0
    splits = np.array([0, n_rows]) if splits is None else splits.astype(np.int64)
    fits = len(splits) and splits[0] == 0 and splits[-1] == n_rows
    if not fits or (splits[1:] < splits[:-1]).any():
        raise SchemaError(path, f"'row_splits' do not cut {n_rows} space points")
    n_events = len(splits) - 1
    ids = np.arange(n_events) + first_id if ids is None else ids
    if len(ids) != n_events:
        raise SchemaError(path, f"{len(ids)} event_ids for {n_events} events")
    return NumpyFile(path, splits, as_event_ids(path, ids, 0))


EVENTS = EventFormat(
    name="numpy",
    recognises=lambda content, _options: content.container in ("npy", "npz"),
    open=_open,
)
