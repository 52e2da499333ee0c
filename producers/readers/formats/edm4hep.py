"""Tracker hits of EDM4hep events, as podio writes them to TTrees and RNTuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError
from producers.model.event import EventChunk
from producers.readers.content import FileContent
from producers.readers.event_chunks import (
    CHUNK_BYTES,
    as_event_ids,
    chunk_of_rows,
    stacked,
)
from producers.readers.formats import ReadOptions
from producers.readers.location import Location
from producers.readers.root_file import open_root
from producers.readers.root_table import RootTable, step_of

__all__ = ["FORMAT", "Edm4hepFile", "hit_collections"]

TREE = "events"
EVENT_NUMBER = "EventHeader.eventNumber"
# Of TrackerHit3D and TrackerHitPlane (edm4hep.yaml, v1), and of their forerunner
# TrackerHit. SimTrackerHit has no error of its energy, and calorimeter hits no
# quality.
MEMBERS = ("cellID", "type", "quality", "eDepError", "position.x", "position.z")
# Of SenseWireHit, whose position is that of a wire's end and no space point.
WIRE = "distanceToWire"


def hit_collections(tables: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the names of the collections of tracker hits, in the file's order."""
    columns = tables.get(TREE, {})
    names = [name.removesuffix(".cellID") for name in columns if "/" not in name]
    return tuple(
        name
        for name in dict.fromkeys(names)
        if all(f"{name}.{member}" in columns for member in MEMBERS)
        and f"{name}.{WIRE}" not in columns
    )


@dataclass(frozen=True, slots=True)
class Edm4hepFile:
    """A file of EDM4hep events.

    Attributes
    ----------
    path : Path or str
    collections : tuple of str
        Of tracker hits. An event's space points are those of the first, then those
        of the second, and so on.
    has_numbers : bool
        Whether the event headers number the events: all of them, each differently.
        Generators often leave the same number in all. Else events are numbered by
        their entry.
    n_events : int
    """

    path: Location
    collections: tuple[str, ...]
    has_numbers: bool
    n_events: int

    @property
    def columns(self) -> list[str]:
        """All columns to be read."""
        axes = [f"{name}.position.{a}" for name in self.collections for a in "xyz"]
        return [EVENT_NUMBER, *axes] if self.has_numbers else axes

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
        with open_root(self.path) as file:
            table = file.table(TREE)
            step = chunk_size or step_of(table, self.columns, CHUNK_BYTES)
            for first in range(start, stop, step):
                yield self._read(table, first, min(first + step, stop))

    def _read(self, table: RootTable, start: int, stop: int) -> EventChunk:
        parts, counts = [], []
        for name in self.collections:
            axes = table.lists([f"{name}.position.{a}" for a in "xyz"], start, stop)
            parts.append(stacked([axis.values for axis in axes]))
            counts.append(axes[0].counts)
        order, row_splits = _event_by_event(counts)
        return chunk_of_rows(
            self.path,
            np.concatenate(parts)[order],
            row_splits=row_splits,
            event_ids=self.event_ids(table, start, stop),
            first_entry=start,
        )

    def event_ids(self, table: RootTable, start: int, stop: int) -> NDArray[np.int64]:
        """Read the numbers of some events.

        Raises
        ------
        InvalidEventError
            If one does not fit 64 bits.
        """
        if not self.has_numbers:
            return np.arange(start, stop)
        header = table.lists([EVENT_NUMBER], start, stop)[0]
        return as_event_ids(self.path, header.values, start)


def _has_numbers(table: RootTable) -> bool:
    if EVENT_NUMBER not in table.columns or not len(table):
        return False
    (header,) = table.lists([EVENT_NUMBER], 0, len(table))
    is_one_each = bool((header.counts == 1).all())
    return is_one_each and len(np.unique(header.values)) == len(table)


def _event_by_event(
    counts: list[NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how rows, collection by collection, are ordered event by event.

    Parameters
    ----------
    counts : list of ndarray, shape (n_events,), int64
        Of each collection.

    Returns
    -------
    order : ndarray, shape (n_rows,), int64
    row_splits : ndarray, shape (n_events + 1,), int64
    """
    n_events = len(counts[0])
    event_of_row = np.concatenate(
        [np.repeat(np.arange(n_events), each) for each in counts]
    )
    row_splits = np.concatenate(([0], np.cumsum(np.sum(counts, axis=0))))
    return np.argsort(event_of_row, kind="stable"), row_splits.astype(np.int64)


class _Edm4hep:
    name = "edm4hep"
    summary = "EDM4hep TTree or RNTuple of podio: TrackerHit3D, TrackerHitPlane"

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether it has a collection of tracker hits."""
        return options.columns is None and bool(hit_collections(content.root_tables))

    def open(self, content: FileContent, _options: ReadOptions) -> Edm4hepFile:
        """Find the collections of tracker hits.

        Raises
        ------
        SchemaError
            If there is none.
        """
        collections = hit_collections(content.root_tables)
        if not collections:
            raise SchemaError(content.location, "no collection of tracker hits")
        with open_root(content.location) as file:
            table = file.table(TREE)
            return Edm4hepFile(
                path=content.location,
                collections=collections,
                has_numbers=_has_numbers(table),
                n_events=len(table),
            )


FORMAT = _Edm4hep()
