"""Chunks of neighbouring events in flat columns, and how they are cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from producers.model.types import AnyArray

__all__ = ["AnyEvent", "Chunk", "part_ends", "splits_of"]

EventT_co = TypeVar("EventT_co", covariant=True)


class AnyEvent(Protocol):
    """An event as the loop sees it: its place in a source, and columns of any kind."""

    @property
    def event_id(self) -> int:
        """The event's own number."""

    @property
    def source(self) -> Path | str:
        """File of the event, or another name of its origin."""

    @property
    def entry(self) -> int:
        """Position in the source, from zero."""

    # Any: products of several producers.
    @property
    def products(self) -> dict[str, Any]:
        """The products of earlier producers, by their names."""

    def __len__(self) -> int:
        """Return the number of rows: space points, jet constituents, ..."""

    def __getitem__(self, column: str) -> AnyArray:
        """Return a column, one value per row."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Chunk(ABC, Generic[EventT_co]):
    """Base of the chunks: neighbouring events that are rows of flat columns.

    Attributes
    ----------
    event_ids : ndarray, shape (n_events,), int64
    row_splits : ndarray, shape (n_events + 1,), int64
        Event i has the rows ``row_splits[i]:row_splits[i + 1]``.
    source : Path or str
        File of the events, or another name of their origin.
    first_entry : int
        Position of the first event in the source.
    """

    event_ids: NDArray[np.int64]
    row_splits: NDArray[np.int64]
    source: Path | str = "memory"
    first_entry: int = 0

    @abstractmethod
    def _columns(self, rows: slice) -> dict[str, Any]:
        """Return some rows of the columns, under the names of the fields."""

    @abstractmethod
    def _event(self, *, event_id: int, entry: int, rows: slice) -> EventT_co:
        """Return the event that has these rows."""

    def _check(self, columns: Mapping[str, AnyArray | None]) -> None:
        """Raise ValueError unless the offsets fit the columns that are there."""
        splits, n_events = self.row_splits, len(self.event_ids)
        if len(splits) != n_events + 1:
            raise ValueError(f"expected {n_events + 1} offsets, got {len(splits)}")
        if splits[0] != 0 or (splits[1:] < splits[:-1]).any():
            raise ValueError(f"offsets must rise from 0, got {splits}")
        n_rows = int(splits[-1])
        for name, column in columns.items():
            if column is not None and len(column) != n_rows:
                raise ValueError(f"{name}: expected {n_rows} rows, got {len(column)}")

    def __len__(self) -> int:
        return len(self.event_ids)

    def __getitem__(self, index: int) -> EventT_co:
        """Return an event; views.

        Raises
        ------
        IndexError
            If there is no such event.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"no event {index} in a chunk of {len(self)}")
        index %= len(self)
        return next(iter(self.part(index, index + 1)))

    def __iter__(self) -> Iterator[EventT_co]:
        splits = self.row_splits.tolist()
        for index, event_id in enumerate(self.event_ids.tolist()):
            yield self._event(
                event_id=event_id,
                entry=self.first_entry + index,
                rows=slice(splits[index], splits[index + 1]),
            )

    def part(self, start: int, stop: int) -> Self:
        """Return the events from `start` to before `stop`, as views.

        Raises
        ------
        IndexError
            If the chunk does not have these events.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"no events {start} to {stop} in a chunk of {len(self)}")
        splits = self.row_splits[start : stop + 1]
        return type(self)(
            event_ids=self.event_ids[start:stop],
            row_splits=splits - splits[0],
            source=self.source,
            first_entry=self.first_entry + start,
            **self._columns(slice(int(splits[0]), int(splits[-1]))),
        )


def splits_of(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the offsets of lists of these lengths, shape (n + 1,), int64."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def part_ends(
    row_splits: NDArray[np.int64], *, n_rows: int, n_events: int
) -> list[int]:
    """Return where to cut a chunk into parts of limited size.

    Parameters
    ----------
    row_splits : ndarray, shape (n_events + 1,), int64
    n_rows : int
        Most rows of a part; an event with more is a part of its own.
    n_events : int
        Most events of a part.

    Returns
    -------
    list of int
        The end of each part: the index after its last event, rising.
    """
    ends, start, last = [], 0, len(row_splits) - 1
    while start < last:
        limit = row_splits[start] + n_rows
        end = int(np.searchsorted(row_splits, limit, side="right")) - 1
        start = min(max(end, start + 1), start + n_events, last)
        ends.append(start)
    return ends
