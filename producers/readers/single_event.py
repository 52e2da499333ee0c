"""A file that holds one event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.model.event import EventChunk
from producers.readers.event_chunks import chunk_of_rows
from producers.readers.location import Location

__all__ = ["SingleEventFile"]


@dataclass(frozen=True, slots=True)
class SingleEventFile:
    """One event, read when it is asked for.

    Attributes
    ----------
    path : Path or str
    event_id : int
    read : callable
        Gives the positions, shape (n_space_points, 3), in mm, from the path.
    """

    path: Location
    event_id: int
    read: Callable[[Location], NDArray[np.float32]]

    @property
    def n_events(self) -> int:
        """Always one."""
        return 1

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the event.

        Raises
        ------
        UnreadableFileError
            If the file is damaged.
        InvalidEventError
            If a position is not finite.
        """
        if start < stop:
            xyz = self.read(self.path)
            yield chunk_of_rows(
                self.path,
                xyz,
                row_splits=np.array([0, len(xyz)], dtype=np.int64),
                event_ids=np.array([self.event_id], dtype=np.int64),
            )
