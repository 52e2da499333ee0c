"""Events and chunks of events, with space points; and what a loop needs of any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["AnyEvent", "Event", "EventChunk", "LoopChunk", "part_ends"]

EventT_co = TypeVar("EventT_co", covariant=True)


class AnyEvent(Protocol):
    """What a loop needs of an event, whatever it is made of."""

    @property
    def event_id(self) -> int:
        """The event's own number."""

    @property
    def source(self) -> Path | str:
        """File of the event, or what it came from."""

    @property
    def entry(self) -> int:
        """Position in it, from zero."""

    # Any: products of several producers.
    @property
    def products(self) -> dict[str, Any]:
        """What the producers before made of this event, by their names."""

    def __len__(self) -> int:
        """Return the number of points, constituents, ..."""

    # Any: columns of any type.
    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column, one value per point."""


class LoopChunk(Protocol[EventT_co]):
    """Neighbouring events that work may be done on at once."""

    @property
    def event_ids(self) -> NDArray[np.int64]:
        """Numbers of the events."""

    @property
    def row_splits(self) -> NDArray[np.int64]:
        """Event i has the rows ``row_splits[i]:row_splits[i + 1]``."""

    def __len__(self) -> int:
        """Return the number of events."""

    def __iter__(self) -> Iterator[EventT_co]:
        """Iterate over the events."""

    def part(self, start: int, stop: int) -> Self:
        """Return some of the events, as views."""


def part_ends(
    row_splits: NDArray[np.int64], *, n_rows: int, n_events: int
) -> list[int]:
    """Return where to cut a chunk into parts of at most so many rows and events.

    Parameters
    ----------
    row_splits : ndarray, shape (n_events + 1,), int64
    n_rows : int
        An event with more is a part of its own.
    n_events : int

    Returns
    -------
    list of int
        The event after the last one of each part, rising, up to the last of all.
    """
    ends, start, last = [], 0, len(row_splits) - 1
    while start < last:
        limit = row_splits[start] + n_rows
        end = int(np.searchsorted(row_splits, limit, side="right")) - 1
        start = min(max(end, start + 1), start + n_events, last)
        ends.append(start)
    return ends


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Event:
    """The space points of one collision. All arrays are views into its chunk.

    Attributes
    ----------
    event_id : int
        The event's own number; need not be unique over files.
    xyz : ndarray, shape (n_space_points, 3), float32
        Global Cartesian positions in mm, beam along z. May have no rows.
    source : Path or str
        File of the event.
    entry : int
        Position in the file, from zero.
    features : ndarray, shape (n_space_points, n_features), float32, or None
        What a producer prepared for the whole chunk.
    detector : mapping of str to ndarray, shape (n_space_points,), int64
        Detector elements (``volume``, ``layer``, ``module``) that were read.
    products : dict of str to object
        What the producers before made of this event, by their names.
    """

    event_id: int
    xyz: NDArray[np.float32]
    source: Path | str
    entry: int
    features: NDArray[np.float32] | None = None
    detector: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    products: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xyz)

    # Any: positions are floats, detector elements integers.
    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return ``x``, ``y`` or ``z`` in mm, or a detector element, of all points.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if len(column) == 1 and column in "xyz":
            return self.xyz[:, "xyz".index(column)]
        return self.detector[column]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EventChunk:
    """Neighbouring events of one file, in flat columns; iterating gives events.

    Attributes
    ----------
    event_ids : ndarray, shape (n_events,), int64
    row_splits : ndarray, shape (n_events + 1,), int64
        Event i has the rows ``row_splits[i]:row_splits[i + 1]``.
    xyz : ndarray, shape (n_space_points, 3), float32
        Global Cartesian positions in mm, beam along z.
    source : Path or str
    first_entry : int
        Position of the first event in the file.
    features, detector
        As in `Event`, for all rows.

    Raises
    ------
    ValueError
        If the columns do not fit the offsets.
    """

    event_ids: NDArray[np.int64]
    row_splits: NDArray[np.int64]
    xyz: NDArray[np.float32]
    source: Path | str
    first_entry: int = 0
    features: NDArray[np.float32] | None = None
    detector: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        splits, n_points = self.row_splits, len(self.xyz)
        if (
            len(splits) != len(self.event_ids) + 1
            or splits[0] != 0
            or splits[-1] != n_points
            or (np.diff(splits) < 0).any()
        ):
            raise ValueError(
                f"offsets {splits} do not cut {n_points} space points "
                f"into {len(self.event_ids)} events"
            )
        columns = {"features": self.features, **self.detector}
        for name, column in columns.items():
            if column is not None and len(column) != n_points:
                raise ValueError(f"{name}: expected {n_points} rows, got {len(column)}")

    def __len__(self) -> int:
        return len(self.event_ids)

    def __getitem__(self, index: int) -> Event:
        if not 0 <= index < len(self):
            raise IndexError(f"no event {index} in a chunk of {len(self)}")
        rows = slice(int(self.row_splits[index]), int(self.row_splits[index + 1]))
        return Event(
            event_id=int(self.event_ids[index]),
            xyz=self.xyz[rows],
            source=self.source,
            entry=self.first_entry + index,
            features=None if self.features is None else self.features[rows],
            detector={name: column[rows] for name, column in self.detector.items()},
        )

    def __iter__(self) -> Iterator[Event]:
        return map(self.__getitem__, range(len(self)))

    def part(self, start: int, stop: int) -> EventChunk:
        """Return some of the events, as views.

        Raises
        ------
        IndexError
            If there are not so many.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"no events {start} to {stop} in a chunk of {len(self)}")
        splits = self.row_splits[start : stop + 1]
        rows = slice(int(splits[0]), int(splits[-1]))
        return EventChunk(
            event_ids=self.event_ids[start:stop],
            row_splits=splits - splits[0],
            xyz=self.xyz[rows],
            source=self.source,
            first_entry=self.first_entry + start,
            features=None if self.features is None else self.features[rows],
            detector={name: column[rows] for name, column in self.detector.items()},
        )
