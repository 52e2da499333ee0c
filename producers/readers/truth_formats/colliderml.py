"""Truth of ColliderML: the hits' own particles, and the file of particles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES
from producers.readers.formats.colliderml import is_colliderml_hits
from producers.readers.location import Location
from producers.readers.parquet_file import ParquetTable, open_parquet
from producers.readers.truth_event import as_particle_ids

__all__ = ["TRUTH_FORMAT", "ColliderMLTruthFile"]

HITS = ("event_id", "particle_id")
NUMBERS = ("vx", "vy", "vz", "px", "py", "pz", "charge")


@dataclass(frozen=True, slots=True)
class ColliderMLTruthFile:
    """A file of ``tracker_hits``, and the one of ``particles`` of the same events.

    Attributes
    ----------
    hits, particles : Path or str
    n_events : int
    """

    hits: Location
    particles: Location
    n_events: int

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events, some MB at a time.

        Raises
        ------
        UnequalEventsError
            If the two files are not of the same events, in the same order.
        UnreadableFileError
            If a file is damaged.
        """
        names = [*HITS, *NUMBERS]
        with open_parquet(self.hits) as hits, open_parquet(self.particles) as particles:
            step = min(
                hits.step_of(HITS, CHUNK_BYTES), particles.step_of(names, CHUNK_BYTES)
            )
            # In steps of rows, not of the batches that either file would give.
            for start in range(0, self.n_events, step):
                stop = min(start + step, self.n_events)
                yield self._read(
                    _rows(hits, HITS, start, stop), _rows(particles, names, start, stop)
                )

    # Any: pyarrow has no type information.
    def _read(
        self, hits: Mapping[str, Any], particles: Mapping[str, Any]
    ) -> list[TruthEvent]:
        if (hits["event_id"] != particles["event_id"]).any():
            raise UnequalEventsError(f"{self.particles}: not the events of {self.hits}")
        events = []
        for index, event_id in enumerate(hits["event_id"]):
            own = {name: particles[name][index] for name in ("particle_id", *NUMBERS)}
            events.append(
                TruthEvent(
                    event_id=int(event_id),
                    particle_id=as_particle_ids(self.hits, hits["particle_id"][index]),
                    particles=Particles(
                        particle_id=as_particle_ids(self.particles, own["particle_id"]),
                        vertex_mm=_stacked(own, NUMBERS[:3]),
                        momentum_gev=_stacked(own, NUMBERS[3:6]),
                        charge=own["charge"].astype(np.float32),
                    ),
                )
            )
        return events


def _stacked(columns: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return np.column_stack([columns[name].astype(np.float32) for name in names])


def _rows(
    table: ParquetTable, names: tuple[str, ...] | list[str], start: int, stop: int
) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for _, block in table.blocks(names, start, stop, stop - start):
        parts["event_id"].append(table.scalars(block["event_id"], "event_id"))
        for name in names[1:]:
            lists = table.lists(block[name], name)
            parts[name] += np.split(lists.values, np.cumsum(lists.counts)[:-1])
    return parts | {"event_id": np.concatenate(parts["event_id"])}


class _ColliderML:
    name = "colliderml"
    summary = "ColliderML parquet of tracker_hits, with that of particles beside it"

    def recognises(self, content: FileContent) -> bool:
        """Whether it has the columns of tracker hits."""
        return is_colliderml_hits(content)

    def open(self, content: FileContent) -> ColliderMLTruthFile:
        """Find the file of particles: ``tracker_hits`` in the path reads ``particles``.

        Raises
        ------
        SchemaError, InputNotFoundError, UnreadableFileError
            If it is not there, or has other columns.
        UnequalEventsError
            If it has another number of events.
        """
        hits = content.location
        text = str(hits)
        if "tracker_hits" not in text:
            raise SchemaError(hits, "not called tracker_hits: where are its particles?")
        other = text.replace("tracker_hits", "particles")
        particles: Location = other if isinstance(hits, str) else type(hits)(other)
        with open_parquet(hits) as own, open_parquet(particles) as table:
            table.require(["particle_id", *NUMBERS], scalars=("event_id",))
            if len(table) != len(own):
                raise UnequalEventsError(
                    f"{particles}: {len(table)} events, {len(own)} in {hits}"
                )
            return ColliderMLTruthFile(hits, particles, len(own))


TRUTH_FORMAT = _ColliderML()
