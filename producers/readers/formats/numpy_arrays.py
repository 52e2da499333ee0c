"""Positions in numpy's own files: one event in .npy, several in .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.event import EventChunk
from producers.readers.content import FileContent
from producers.readers.event_chunks import (
    CHUNK_BYTES,
    as_event_ids,
    chunk_of_rows,
    stacked,
)
from producers.readers.formats import ReadOptions
from producers.readers.location import Location, open_binary
from producers.readers.source import EventFile

__all__ = ["FORMAT", "NumpyFile"]


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
        """Number of events in it."""
        return len(self.event_ids)

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events from `start` to before `stop`, `chunk_size` at a time.

        Raises
        ------
        InvalidEventError
            If a position is not finite.
        UnreadableFileError
            If the file is damaged.
        """
        with _open_xyz(self.path) as rows:
            rows.skip(int(self.row_splits[start]))
            while start < stop:
                end = min(self._end_of_chunk(start, chunk_size), stop)
                splits = self.row_splits[start : end + 1]
                yield chunk_of_rows(
                    self.path,
                    stacked(list(rows.read(int(splits[-1] - splits[0])).T)),
                    row_splits=splits - splits[0],
                    event_ids=self.event_ids[start:end],
                    first_entry=start,
                )
                start = end

    def _end_of_chunk(self, start: int, chunk_size: int | None) -> int:
        if chunk_size is not None:
            return start + chunk_size
        n_rows = CHUNK_BYTES // (3 * np.dtype(np.float32).itemsize)
        limit = self.row_splits[start] + n_rows
        end = int(np.searchsorted(self.row_splits, limit, side="right")) - 1
        return max(end, start + 1)


class _Rows:
    """The rows of an array in a stream, read one after another."""

    def __init__(self, path: Location, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        self.shape, self.dtype = _header(path, stream)

    def read(self, n_rows: int) -> NDArray[Any]:
        n_bytes = n_rows * self._row_bytes
        data = self._stream.read(n_bytes)
        if len(data) < n_bytes:
            raise UnreadableFileError(self._path, "truncated numpy file")
        return np.frombuffer(data, self.dtype).reshape(n_rows, *self.shape[1:])

    def skip(self, n_rows: int) -> None:
        self._stream.seek(n_rows * self._row_bytes, 1)

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape[1:]))


def _header(path: Location, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = npy.read_magic(stream)
        read = {
            (1, 0): npy.read_array_header_1_0,
            (2, 0): npy.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read(stream)
    except (ValueError, KeyError) as error:
        raise UnreadableFileError(path, f"damaged numpy file: {error}") from error
    if dtype.kind not in "iuf":
        # Objects would have to be unpickled, which runs code that the file brings.
        raise SchemaError(path, f"expected an array of numbers, got {dtype}")
    if is_fortran and len(shape) > 1:
        raise SchemaError(path, "expected an array in C order, got Fortran order")
    return shape, dtype


@contextmanager
def _open_xyz(path: Location) -> Iterator[_Rows]:
    with open_binary(path) as file, _member(path, file, "xyz") as stream:
        if stream is None:
            raise SchemaError(path, "no array 'xyz'")
        rows = _Rows(path, stream)
        if len(rows.shape) != 2 or rows.shape[1] != 3:
            raise SchemaError(
                path, f"'xyz': expected shape (n_space_points, 3), got {rows.shape}"
            )
        yield rows


@contextmanager
def _member(path: Location, file: IO[bytes], name: str) -> Iterator[IO[bytes] | None]:
    """Give the stream of an array of a .npz, None if it has none; or a .npy itself."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        yield file if name == "xyz" else None
        return
    try:
        with zipfile.ZipFile(file) as archive:
            if f"{name}.npy" not in archive.namelist():
                yield None
                return
            with archive.open(f"{name}.npy") as stream:
                yield stream
    except (zipfile.BadZipFile, EOFError) as error:
        raise UnreadableFileError(path, f"damaged numpy file: {error}") from error


def _whole(path: Location, name: str) -> NDArray[Any] | None:
    with open_binary(path) as file, _member(path, file, name) as stream:
        if stream is None:
            return None
        rows = _Rows(path, stream)
        if len(rows.shape) != 1 or rows.dtype.kind not in "iu":
            raise SchemaError(
                path,
                f"{name!r}: expected a list of integers, "
                f"got {rows.dtype} of shape {rows.shape}",
            )
        return rows.read(rows.shape[0])


class _Numpy:
    name = "numpy"
    summary = "numpy: .npz of xyz, row_splits, event_ids; or .npy of one event"

    def recognises(self, content: FileContent, _options: ReadOptions) -> bool:
        """Whether it is a .npy or .npz file."""
        return content.container in ("npy", "npz")

    def open(self, content: FileContent, options: ReadOptions) -> EventFile:
        """Read the offsets and numbers of the events, not their positions.

        Raises
        ------
        SchemaError
            If an array is not there, or of another shape or type.
        UnreadableFileError
            If the file is truncated or damaged.
        """
        path = content.location
        with _open_xyz(path) as rows:
            n_rows = rows.shape[0]
        splits, ids = _whole(path, "row_splits"), _whole(path, "event_ids")
        is_one = splits is None
        splits = np.array([0, n_rows]) if splits is None else splits
        cuts = len(splits) and splits[0] == 0 and splits[-1] == n_rows
        if not cuts or (np.diff(splits.astype(np.int64)) < 0).any():
            raise SchemaError(path, f"'row_splits' do not cut {n_rows} space points")
        n_events = len(splits) - 1
        if ids is None:
            ids = np.arange(n_events) + (options.position if is_one else 0)
        if len(ids) != n_events:
            raise SchemaError(path, f"{len(ids)} event_ids for {n_events} events")
        return NumpyFile(path, splits.astype(np.int64), as_event_ids(path, ids, 0))


FORMAT = _Numpy()
