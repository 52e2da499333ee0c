"""Tracker hits of EDM4hep events, as podio writes them to TTrees and RNTuples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import EventFormat
from producers.formats.chunks import (
    CHUNK_BYTES,
    as_event_ids,
    chunk_of_rows,
    ranges,
    stacked,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, open_root
from producers.model.chunk import splits_of
from producers.model.errors import SchemaError
from producers.model.event import EventChunk

TREE = "events"
EVENT_NUMBER = "EventHeader.eventNumber"
# Members of TrackerHit3D and TrackerHitPlane (edm4hep.yaml, v1), and of their
# predecessor TrackerHit. SimTrackerHit has no eDepError, calorimeter hits have no
# quality.
MEMBERS = ("cellID", "type", "quality", "eDepError", "position.x", "position.z")
# A member of SenseWireHit, whose position is the end of a wire and no space point.
WIRE = "distanceToWire"


def hit_collections(content: FileContent) -> tuple[str, ...]:
    """Return the names of the collections of tracker hits, in the file's order."""
    columns = content.root_tables.get(TREE, {})
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
        The collections of tracker hits. The space points of an event are those of the
        first collection, then those of the second, and so on.
    has_numbers : bool
        Whether every event header has a number of its own. Generators often leave
        the same number in all; events are then numbered by their entry.
    n_events : int
    """

    path: Location
    collections: tuple[str, ...]
    has_numbers: bool
    n_events: int

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        axes = [f"{name}.position.{a}" for name in self.collections for a in "xyz"]
        return [EVENT_NUMBER, *axes] if self.has_numbers else axes

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events; see `EventFile.chunks`."""
        with open_root(self.path) as file:
            table = file.table(TREE)
            step = chunk_size or table.entries_in(CHUNK_BYTES, self.columns)
            for first, end in ranges(start, stop, step):
                yield self._read(table, first, end)

    def _read(self, table: RootTable, start: int, stop: int) -> EventChunk:
        parts, counts = [], []
        for name in self.collections:
            axes = table.lists([f"{name}.position.{a}" for a in "xyz"], start, stop)
            parts.append(stacked([axis.values for axis in axes]))
            counts.append(axes[0].counts)
        event_of_row = np.concatenate(
            [np.repeat(np.arange(stop - start), each) for each in counts]
        )
        # From one collection after another to one event after another.
        order = np.argsort(event_of_row, kind="stable")
        return chunk_of_rows(
            self.path,
            np.concatenate(parts)[order],
            row_splits=splits_of(np.sum(counts, axis=0)),
            event_ids=self.event_ids(table, start, stop),
            first_entry=start,
        )

    def event_ids(self, table: RootTable, start: int, stop: int) -> NDArray[np.int64]:
        """Read the numbers of some events.

        Raises
        ------
        InvalidEventError
            If a number does not fit 64 bits.
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


def open_hits(content: FileContent) -> Edm4hepFile:
    """Find the collections of tracker hits.

    Raises
    ------
    SchemaError
        If there is none.
    """
    collections = hit_collections(content)
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


EVENTS = EventFormat(
    name="edm4hep",
    recognises=lambda content, options: (
        options.columns is None and bool(hit_collections(content))
    ),
    open=lambda content, _options: open_hits(content),
    unit="mm",  # edm4hep.yaml
)
