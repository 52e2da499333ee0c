"""Truth of ColliderML: the particles of the hits, and the file of particles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from producers.formats.base import TruthFormat
from producers.formats.chunks import CHUNK_BYTES, ranges
from producers.formats.colliderml.events import is_colliderml_hits
from producers.formats.particles import as_particle_ids, particles_from
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.parquet import ParquetTable, open_parquet
from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import TruthEvent
from producers.model.types import AnyArray

__all__ = ["TRUTH", "ColliderMLTruthFile"]

ID = "particle_id"
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
        """Read the events; see `TruthFile.blocks`."""
        columns = ("event_id", ID, *NUMBERS)
        with open_parquet(self.hits) as hits, open_parquet(self.particles) as particles:
            step = min(
                hits.rows_in(CHUNK_BYTES, columns[:2]),
                particles.rows_in(CHUNK_BYTES, columns),
            )
            # In ranges of rows, because the files may have different row groups.
            for start, stop in ranges(0, self.n_events, step):
                yield self._read(hits, particles, start, stop)

    def _read(
        self, hits: ParquetTable, particles: ParquetTable, start: int, stop: int
    ) -> list[TruthEvent]:
        event_ids, (hit_ids,) = _rows(hits, (ID,), start, stop)
        other_ids, (ids, *numbers) = _rows(particles, (ID, *NUMBERS), start, stop)
        if (event_ids != other_ids).any():
            raise UnequalEventsError(f"{self.particles}: not the events of {self.hits}")
        return [
            TruthEvent(
                event_id=int(event_id),
                particle_id=as_particle_ids(self.hits, hit_ids[index]),
                particles=particles_from(
                    as_particle_ids(self.particles, ids[index]),
                    [column[index] for column in numbers],
                ),
            )
            for index, event_id in enumerate(event_ids)
        ]


def _rows(
    table: ParquetTable, names: Sequence[str], start: int, stop: int
) -> tuple[AnyArray, list[list[AnyArray]]]:
    """Return the numbers of events, and the columns with one array per event."""
    event_ids: list[AnyArray] = []
    columns: list[list[AnyArray]] = [[] for _ in names]
    for _, block in table.blocks(["event_id", *names], start, stop, stop - start):
        event_ids.append(table.scalars(block["event_id"], "event_id"))
        for index, name in enumerate(names):
            columns[index] += table.lists(block[name], name).by_entry()
    return np.concatenate(event_ids), columns


def _open(content: FileContent) -> ColliderMLTruthFile:
    hits = content.location
    if "tracker_hits" not in str(hits):
        raise SchemaError(
            hits,
            "cannot find its particles: expected 'tracker_hits' in the path, which "
            "becomes 'particles'",
        )
    particles = type(hits)(str(hits).replace("tracker_hits", "particles"))
    with open_parquet(hits) as own, open_parquet(particles) as table:
        table.require(lists=[ID, *NUMBERS], integers=["event_id"])
        if len(table) != len(own):
            raise UnequalEventsError(
                f"{particles}: {len(table)} events, {len(own)} in {hits}"
            )
        return ColliderMLTruthFile(hits, particles, len(own))


TRUTH = TruthFormat(
    name="colliderml",
    summary="ColliderML parquet of tracker_hits, with that of particles beside it",
    recognises=is_colliderml_hits,
    open=_open,
)
