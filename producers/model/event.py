"""Events of space points, and of any columns such as the constituents of jets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers.model.chunk import Chunk, splits_of
from producers.model.types import AnyArray, Untyped

__all__ = ["ColumnChunk", "ColumnEvent", "Event", "EventChunk"]


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
        Features that a producer prepared for the whole chunk.
    detector : mapping of str to ndarray, shape (n_space_points,), int64
        The detector elements (``volume``, ``layer``, ``module``) that were read.
    products : dict of str to object
        The products of earlier producers, by their names.
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

    def __getitem__(self, column: str) -> AnyArray:
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
class EventChunk(Chunk[Event]):
    """Neighbouring events of one file, in flat columns; iterating gives events.

    Attributes
    ----------
    event_ids, row_splits, source, first_entry
        As in `Chunk`.
    xyz : ndarray, shape (n_space_points, 3), float32
        Global Cartesian positions in mm, beam along z.
    features, detector
        As in `Event`, for all rows.

    Raises
    ------
    ValueError
        If the columns do not fit the offsets.
    """

    xyz: NDArray[np.float32]
    features: NDArray[np.float32] | None = None
    detector: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check({"xyz": self.xyz, "features": self.features, **self.detector})

    def _columns(self, rows: slice) -> dict[str, Any]:
        return {
            "xyz": self.xyz[rows],
            "features": None if self.features is None else self.features[rows],
            "detector": {name: column[rows] for name, column in self.detector.items()},
        }

    def _event(self, *, event_id: int, entry: int, rows: slice) -> Event:
        return Event(
            event_id=event_id, source=self.source, entry=entry, **self._columns(rows)
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColumnEvent:
    """The columns of one event; views into its chunk.

    Attributes
    ----------
    event_id : int
    columns : mapping of str to ndarray, shape (n_rows,)
    source : Path or str
    entry : int
    products : dict of str to object
        The products of earlier producers, by their names.
    """

    event_id: int
    columns: Mapping[str, AnyArray]
    source: Path | str
    entry: int
    products: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str) -> AnyArray:
        return self.columns[column]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColumnChunk(Chunk[ColumnEvent]):
    """Neighbouring events of any columns; iterating gives events.

    Attributes
    ----------
    event_ids, row_splits, source, first_entry
        As in `Chunk`.
    columns : mapping of str to ndarray, shape (n_rows,)
        At least one.

    Raises
    ------
    ValueError
        If there is no column, or the columns do not fit the offsets.
    """

    columns: Mapping[str, AnyArray]

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("expected at least one column, got none")
        self._check(self.columns)

    def _columns(self, rows: slice) -> dict[str, Any]:
        return {
            "columns": {name: column[rows] for name, column in self.columns.items()}
        }

    def _event(self, *, event_id: int, entry: int, rows: slice) -> ColumnEvent:
        return ColumnEvent(
            event_id=event_id, source=self.source, entry=entry, **self._columns(rows)
        )

    @classmethod
    def from_awkward(
        cls,
        array: Untyped,
        *,
        event_ids: NDArray[np.int64] | None = None,
        source: Path | str = "memory",
        first_entry: int = 0,
    ) -> ColumnChunk:
        """Return the events of an array of lists of records.

        Parameters
        ----------
        array : ak.Array, of type ``n_events * var * {name: number, ...}``
        event_ids : ndarray, shape (n_events,), int64, optional
            By default the events' positions, from `first_entry` on.
        source : Path or str
        first_entry : int

        Raises
        ------
        ValueError
            If the array is of another form.
        """
        if array.ndim != 2 or not array.fields:
            raise ValueError(
                f"expected n_events * var * {{name: number, ...}}, got {array.type}"
            )
        counts = np.asarray(ak.num(array, axis=1))
        flat = ak.flatten(array, axis=1)
        entries = np.arange(first_entry, first_entry + len(counts))
        return cls(
            columns={name: ak.to_numpy(flat[name]) for name in array.fields},
            row_splits=splits_of(counts),
            event_ids=entries if event_ids is None else event_ids,
            source=source,
            first_entry=first_entry,
        )
