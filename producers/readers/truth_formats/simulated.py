"""Truth as `producers.TruthWriter` leaves it: two tables of one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from producers.model.errors import UnequalEventsError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES
from producers.readers.location import Location
from producers.readers.root_file import RootFile, open_root
from producers.readers.root_table import RootTable, step_of
from producers.readers.truth_event import as_particle_ids

__all__ = ["TRUTH_FORMAT", "SimulatedTruthFile"]

_SP_COLUMNS = ("sp_particle_id",)
_PARTICLE_COLUMNS = (
    "part_particle_id",
    *("part_vx", "part_vy", "part_vz"),
    *("part_px", "part_py", "part_pz"),
    "part_q",
)


@dataclass(frozen=True, slots=True)
class SimulatedTruthFile:
    """A file with the trees (or RNTuples) ``sp_truth`` and ``particles``.

    Attributes
    ----------
    path : Path or str
    n_events : int
    """

    path: Location
    n_events: int

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events, some MB at a time.

        Raises
        ------
        UnequalEventsError
            If the two tables are not of the same events.
        UnreadableFileError
            If the file is damaged.
        """
        with open_root(self.path) as file:
            tables = _tables(file)
            step = step_of(tables[0], _names(tables[0], _SP_COLUMNS), CHUNK_BYTES)
            for start in range(0, len(tables[0]), step):
                stop = min(start + step, len(tables[0]))
                yield _read_block(self.path, tables, start, stop)


def _tables(file: RootFile) -> tuple[RootTable, RootTable]:
    return file.table("sp_truth"), file.table("particles")


def _count_events(path: Location) -> int:
    with open_root(path) as file:
        tables = _tables(file)
        for table, columns in zip(
            tables, (_SP_COLUMNS, _PARTICLE_COLUMNS), strict=True
        ):
            table.require(_names(table, columns), scalars=("event",))
        n_points, n_particles = map(len, tables)
        if n_points != n_particles:
            raise UnequalEventsError(
                f"{path}: {n_points} events in 'sp_truth', {n_particles} in 'particles'"
            )
        return n_points


def _names(table: RootTable, columns: Sequence[str]) -> list[str]:
    """Return the names of the columns in this table: ``sp.x`` in an RNTuple."""
    as_members = [column.replace("_", ".", 1) for column in columns]
    return as_members if as_members[0] in table.columns else list(columns)


def _read_block(
    path: Location, tables: tuple[RootTable, RootTable], start: int, stop: int
) -> list[TruthEvent]:
    points, particles = tables
    event_ids = points.scalars("event", start, stop)
    other_ids = particles.scalars("event", start, stop)
    unequal = np.flatnonzero(event_ids != other_ids)
    if unequal.size:
        index = int(unequal[0])
        raise UnequalEventsError(
            f"{path}: entry {start + index} is event {event_ids[index]} in "
            f"'sp_truth' and event {other_ids[index]} in 'particles'"
        )
    (hits,) = points.lists(_names(points, _SP_COLUMNS), start, stop)
    columns = particles.lists(_names(particles, _PARTICLE_COLUMNS), start, stop)
    ids, *numbers = columns
    if any((column.counts != ids.counts).any() for column in numbers):
        raise UnequalEventsError(f"{path}: columns of 'particles' of unequal length")
    hit_ids = np.split(as_particle_ids(path, hits.values), np.cumsum(hits.counts)[:-1])
    all_particles = Particles(
        particle_id=as_particle_ids(path, ids.values),
        vertex_mm=np.column_stack([c.values for c in numbers[:3]]).astype(np.float32),
        momentum_gev=np.column_stack([c.values for c in numbers[3:6]]).astype(
            np.float32
        ),
        charge=numbers[6].values.astype(np.float32),
    )
    splits = np.concatenate(([0], np.cumsum(ids.counts)))
    return [
        TruthEvent(
            event_id=int(event_id),
            particle_id=hit_ids[index],
            particles=all_particles.rows(splits[index], splits[index + 1]),
        )
        for index, event_id in enumerate(event_ids)
    ]


class _Simulated:
    name = "sonic"
    summary = "ROOT file of sonic simulate: sp_truth and particles"

    def recognises(self, content: FileContent) -> bool:
        """Whether there are the two tables."""
        return {"sp_truth", "particles"} <= set(content.root_tables)

    def open(self, content: FileContent) -> SimulatedTruthFile:
        """Check the columns and count the events.

        Raises
        ------
        SchemaError, UnequalEventsError
            If a column is not there, or the tables have different lengths.
        """
        return SimulatedTruthFile(content.location, _count_events(content.location))


TRUTH_FORMAT = _Simulated()
