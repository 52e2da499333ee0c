"""Truth of ColliderML: the particles of the hits, and the file of particles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.chunks import CHUNK_BYTES, ranges
from producers.formats.colliderml.events import is_colliderml_hits
from producers.formats.particles import as_particle_ids, particles_from
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.parquet import ParquetTable, open_parquet
from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import TruthEvent

ID = "particle_id"
NUMBERS = ("vx", "vy", "vz", "px", "py", "pz", "charge")


def _blocks(
    of_hits: Location, of_particles: Location, n_events: int
) -> Iterator[list[TruthEvent]]:
    """Read the ``tracker_hits`` and the ``particles`` of the same events."""
    names = ("event_id", ID, *NUMBERS)
    with open_parquet(of_hits) as hits, open_parquet(of_particles) as particles:
        step = min(
            hits.entries_in(CHUNK_BYTES, names[:2]),
            particles.entries_in(CHUNK_BYTES, names),
        )
        # In ranges of rows, because the files may have different row groups.
        for start, stop in ranges(0, n_events, step):
            hit_columns = _columns(hits, (ID,), start, stop)
            columns = _columns(particles, (ID, *NUMBERS), start, stop)
            if hit_columns["event_id"] != columns["event_id"]:
                raise UnequalEventsError(f"{of_particles}: not the events of {of_hits}")
            yield [
                TruthEvent(
                    event_id=event_id,
                    particle_id=as_particle_ids(of_hits, hit_columns[ID][index]),
                    particles=particles_from(
                        of_particles,
                        as_particle_ids(of_particles, columns[ID][index]),
                        [columns[name][index] for name in NUMBERS],
                    ),
                )
                for index, event_id in enumerate(columns["event_id"])
            ]


def _columns(
    table: ParquetTable, names: Sequence[str], start: int, stop: int
) -> dict[str, list[Any]]:
    """Return the numbers of events, and each column as one array per event."""
    found: dict[str, list[Any]] = {name: [] for name in ("event_id", *names)}
    for block in table.blocks(
        names, ["event_id"], start=start, stop=stop, step=stop - start
    ):
        found["event_id"] += block.scalars["event_id"].tolist()
        for name in names:
            found[name] += block.lists[name].by_entry()
    return found


def _open(content: FileContent) -> TruthFile:
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
        blocks = partial(_blocks, hits, particles, len(own))
        return TruthFile(len(own), blocks)


TRUTH = TruthFormat(
    name="colliderml",
    recognises=is_colliderml_hits,
    open=_open,
)
