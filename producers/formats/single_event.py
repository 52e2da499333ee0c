"""Files that hold one event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import ReadOptions
from producers.formats.chunks import chunk_of_rows, stacked
from producers.io.content import FileContent
from producers.io.csv_table import event_number, read_csv
from producers.io.location import Location
from producers.model.event import EventChunk


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
