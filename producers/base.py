"""Events, chunks of events, and what a producer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sonic_client.types import Tensors

__all__ = ["ChunkPreparing", "Event", "EventChunk", "Producer"]

ProductT_co = TypeVar("ProductT_co", covariant=True)


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
    """

    event_id: int
    xyz: NDArray[np.float32]
    source: Path | str
    entry: int
    features: NDArray[np.float32] | None = None
    detector: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xyz)


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


class Producer(Protocol[ProductT_co]):
    """One step of the event loop whose heavy part runs on a server.

    The two halves mirror CMSSW's ``SonicEDProducer``. Both are functions of their
    arguments: no I/O, no state kept between events, so the loop may have many
    events in flight. A producer that is `ChunkPreparing` too may do what
    vectorises over events once per chunk.
    """

    def acquire(self, event: Event) -> Tensors:
        """Return the inputs of the model; the loop does not change or keep them."""

    def produce(self, event: Event, outputs: Tensors) -> ProductT_co:
        """Return the event's product from the model's outputs, which are read-only.

        Copy what the product keeps, or it keeps the whole message.
        """


@runtime_checkable
class ChunkPreparing(Protocol):
    """A producer with work that is done once per chunk."""

    def prepare(self, chunk: EventChunk) -> EventChunk:
        """Return the chunk with what `acquire` needs of its events added."""
