"""Events of any columns: a list of values an event each, such as jets' constituents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

__all__ = ["ColumnChunk", "ColumnEvent"]


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
        What the producers before made of this event, by their names.
    """

    event_id: int
    # Any: columns of any type.
    columns: Mapping[str, NDArray[Any]]
    source: Path | str
    entry: int
    products: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColumnChunk:
    """Neighbouring events in flat columns; iterating gives events.

    Attributes
    ----------
    columns : mapping of str to ndarray, shape (n_rows,)
        One at least.
    row_splits : ndarray, shape (n_events + 1,), int64
        Event i has the rows ``row_splits[i]:row_splits[i + 1]``.
    event_ids : ndarray, shape (n_events,), int64
    source : Path or str
    first_entry : int

    Raises
    ------
    ValueError
        If there is no column, or the columns do not fit the offsets.
    """

    columns: Mapping[str, NDArray[Any]]
    row_splits: NDArray[np.int64]
    event_ids: NDArray[np.int64]
    source: Path | str = "memory"
    first_entry: int = 0

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("expected at least one column, got none")
        if len(self.row_splits) != len(self.event_ids) + 1:
            raise ValueError(
                f"{len(self.row_splits)} offsets for {len(self.event_ids)} events"
            )
        for name, column in self.columns.items():
            if len(column) != self.row_splits[-1]:
                raise ValueError(
                    f"{name}: expected {self.row_splits[-1]} rows, got {len(column)}"
                )

    @classmethod
    def from_awkward(
        cls,
        # Any: awkward has no type information.
        array: Any,
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
            row_splits=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            event_ids=entries if event_ids is None else event_ids,
            source=source,
            first_entry=first_entry,
        )

    def __len__(self) -> int:
        return len(self.event_ids)

    def __iter__(self) -> Iterator[ColumnEvent]:
        splits = self.row_splits.tolist()
        for index, event_id in enumerate(self.event_ids.tolist()):
            rows = slice(splits[index], splits[index + 1])
            yield ColumnEvent(
                event_id=event_id,
                columns={name: column[rows] for name, column in self.columns.items()},
                source=self.source,
                entry=self.first_entry + index,
            )

    def part(self, start: int, stop: int) -> ColumnChunk:
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
        return ColumnChunk(
            columns={name: column[rows] for name, column in self.columns.items()},
            row_splits=splits - splits[0],
            event_ids=self.event_ids[start:stop],
            source=self.source,
            first_entry=self.first_entry + start,
        )
