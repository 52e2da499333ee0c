"""Truth as `TruthWriter` writes it: two tables of one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.chunks import CHUNK_BYTES, ranges
from producers.formats.particles import (
    PARTICLE_COLUMNS,
    as_particle_ids,
    particles_from,
    require_equal_counts,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, open_root
from producers.io.root_writer import RootWriter, TableSpec
from producers.model.chunk import splits_of
from producers.model.errors import UnequalEventsError
from producers.model.truth import TruthEvent
from producers.model.types import AnyArray

POINTS, PARTICLES = "sp_truth", "particles"
PARTICLE_OF_POINT = ("sp_particle_id",)
ID_AND_NUMBERS = tuple(f"part_{name}" for name in ("particle_id", *PARTICLE_COLUMNS))


def _blocks(path: Location) -> Iterator[list[TruthEvent]]:
    with open_root(path) as file:
        points, particles = file.table(POINTS), file.table(PARTICLES)
        step = points.entries_in(CHUNK_BYTES, _names(points, PARTICLE_OF_POINT))
        for start, stop in ranges(0, len(points), step):
            yield _read(path, points, particles, start, stop)


def _read(
    path: Location, points: RootTable, particles: RootTable, start: int, stop: int
) -> list[TruthEvent]:
    event_ids = points.scalars("event", start, stop)
    other_ids = particles.scalars("event", start, stop)
    unequal = np.flatnonzero(event_ids != other_ids)
    if unequal.size:
        index = int(unequal[0])
        raise UnequalEventsError(
            f"{path}: entry {start + index} is event {event_ids[index]} in "
            f"{POINTS!r} and event {other_ids[index]} in {PARTICLES!r}"
        )
    (hits,) = points.lists(_names(points, PARTICLE_OF_POINT), start, stop)
    ids, *numbers = particles.lists(_names(particles, ID_AND_NUMBERS), start, stop)
    require_equal_counts(path, f"{PARTICLES!r}", (ids, *numbers))
    of_points = hits._replace(values=as_particle_ids(path, hits.values))
    all_particles = particles_from(
        path, as_particle_ids(path, ids.values), [each.values for each in numbers]
    )
    splits = splits_of(ids.counts)
    return [
        TruthEvent(
            event_id=int(event_id),
            particle_id=particle_id,
            particles=all_particles.rows(splits[index], splits[index + 1]),
        )
        for index, (event_id, particle_id) in enumerate(
            zip(event_ids, of_points.by_entry(), strict=True)
        )
    ]


def _names(table: RootTable, columns: Sequence[str]) -> list[str]:
    """Return the names of the columns in this table: ``sp.x`` in an RNTuple."""
    as_members = [column.replace("_", ".", 1) for column in columns]
    return as_members if as_members[0] in table.columns else list(columns)


def _open(content: FileContent) -> TruthFile:
    path = content.location
    with open_root(path) as file:
        points, particles = file.table(POINTS), file.table(PARTICLES)
        for table, columns in (
            (points, PARTICLE_OF_POINT),
            (particles, ID_AND_NUMBERS),
        ):
            table.require(lists=_names(table, columns), integers=["event"])
        if len(points) != len(particles):
            raise UnequalEventsError(
                f"{path}: {len(points)} events in {POINTS!r}, "
                f"{len(particles)} in {PARTICLES!r}"
            )
        return TruthFile(len(points), partial(_blocks, path))


TRUTH = TruthFormat(
    name="sonic",
    recognises=lambda content: {POINTS, PARTICLES} <= set(content.root_tables),
    open=_open,
)


class EventWithTruth(Protocol):
    """The true quantities of a simulated event."""

    @property
    def event_id(self) -> int:
        """Number of the event in its sample."""

    @property
    def particle_id(self) -> NDArray[np.uint64]:
        """Particle of each space point, in their order; 0 where it is on none."""

    @property
    def n_true_hits(self) -> AnyArray:
        """Number of simulated hits merged into each space point."""

    @property
    def particles(self) -> Mapping[str, AnyArray]:
        """The columns of the table ``particles``, without the prefix ``part_``."""


class TruthWriter(RootWriter):
    """Writes a file of truth.

    Two tables, each with one entry per event and the column ``event`` (int64).
    ``sp_truth``: ``sp_particle_id`` (uint64) and ``sp_n_true_hits`` (int32), in the
    order of the space points. ``particles``: ``part_particle_id`` (uint64),
    ``part_pdg``, ``part_vx, part_vy, part_vz`` (mm), ``part_px, part_py, part_pz``
    (GeV), ``part_q`` (e), ``part_nhits``, ``part_primary_vertex``. In RNTuples,
    ``sp`` and ``part`` are lists of records. Parameters and errors are those of
    `RootWriter`.
    """

    specs: ClassVar = (
        TableSpec(
            name=POINTS,
            columns={"sp_particle_id": np.uint64, "sp_n_true_hits": np.int32},
            record="sp",
        ),
        TableSpec(
            name=PARTICLES,
            columns={
                "part_particle_id": np.uint64,
                "part_pdg": np.int32,
                **dict.fromkeys(ID_AND_NUMBERS[1:], np.float32),
                "part_nhits": np.int32,
                "part_primary_vertex": np.int32,
            },
            record="part",
        ),
    )

    def write(self, event: EventWithTruth) -> None:
        """Add one event; its arrays are not copied, so leave them unchanged.

        Raises
        ------
        ValueError
            If the arrays of a table have different lengths or wrong types: particle
            ids must be unsigned integers.
        OutputError
            If the file cannot be written.
        """
        points = {
            "sp_particle_id": event.particle_id,
            "sp_n_true_hits": event.n_true_hits,
        }
        particles = {f"part_{name}": each for name, each in event.particles.items()}
        self._append(event.event_id, {POINTS: points, PARTICLES: particles})
