"""Positions in numpy's own files: one event in .npy, several in .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.chunks import as_event_ids, chunk_of_rows, row_ranges, stacked
from producers.io.content import FileContent
from producers.io.location import Location, open_binary
from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.event import EventChunk
from producers.model.types import AnyArray


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
                    stacked(list(rows.read(int(splits[-1] - splits[0])).T)),
                    row_splits=splits - splits[0],
                    event_ids=self.event_ids[first:end],
                    first_entry=first,
                )


class _Rows:
    """The rows of an array in a stream, read one after another."""

    def __init__(self, path: Location, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        try:
            version = npy.read_magic(stream)
            read = {
                (1, 0): npy.read_array_header_1_0,
                (2, 0): npy.read_array_header_2_0,
            }[version]
            self.shape, is_fortran, self.dtype = read(stream)
        except (ValueError, KeyError) as error:
            raise UnreadableFileError(path, f"damaged numpy file: {error}") from error
        if self.dtype.kind not in "iuf":
            # Objects would have to be unpickled, which runs code of the file.
            raise SchemaError(path, f"expected an array of numbers, got {self.dtype}")
        if is_fortran and len(self.shape) > 1:
            raise SchemaError(path, "expected an array in C order, got Fortran order")
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))

    def read(self, n_rows: int) -> AnyArray:
        n_bytes = n_rows * self._row_bytes
        data = self._stream.read(n_bytes)
        if len(data) < n_bytes:
            raise UnreadableFileError(self._path, "truncated numpy file")
        return np.frombuffer(data, self.dtype).reshape(n_rows, *self.shape[1:])

    def skip(self, n_rows: int) -> None:
        self._stream.seek(n_rows * self._row_bytes, 1)


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
    """Give the stream of an array of a .npz, or None; a .npy itself is ``xyz``."""
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


def _integers(path: Location, name: str) -> AnyArray | None:
    """Read the whole of an array of integers; None if there is none."""
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


def _open(content: FileContent, options: ReadOptions) -> NumpyFile:
    """Read the offsets and numbers of the events, not their positions."""
    path = content.location
    with _open_xyz(path) as rows:
        n_rows = rows.shape[0]
    splits, ids = _integers(path, "row_splits"), _integers(path, "event_ids")
    first_id = options.position if splits is None else 0
    splits = np.array([0, n_rows]) if splits is None else splits
    fits = len(splits) and splits[0] == 0 and splits[-1] == n_rows
    if not fits or (np.diff(splits.astype(np.int64)) < 0).any():
        raise SchemaError(path, f"'row_splits' do not cut {n_rows} space points")
    n_events = len(splits) - 1
    ids = np.arange(n_events) + first_id if ids is None else ids
    if len(ids) != n_events:
        raise SchemaError(path, f"{len(ids)} event_ids for {n_events} events")
    return NumpyFile(path, splits.astype(np.int64), as_event_ids(path, ids, 0))


EVENTS = EventFormat(
    name="numpy",
    recognises=lambda content, _options: content.container in ("npy", "npz"),
    open=_open,
)
