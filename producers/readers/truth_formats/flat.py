"""Truth of ACTS' ROOT files: space point, measurement, particle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.event_chunks import as_event_ids
from producers.readers.formats.flat import EventRows, event_rows, spacepoint_tree
from producers.readers.location import Location
from producers.readers.root_file import open_root
from producers.readers.root_table import RootTable
from producers.readers.truth_event import packed, shared_particle

__all__ = ["TRUTH_FORMAT", "FlatTruthFile"]

# Examples/Io/Root: RootSpacePointWriter, RootMeasurementWriter, RootParticleWriter.
POINTS = ("measurement_id", "measurement_id_2")
NO_MEASUREMENT = 2**64 - 1
BARCODE = (
    *("vertex_primary", "vertex_secondary"),
    *("particle", "generation", "sub_particle"),
)
# Of ActsFatras' Barcode, as it was one number of 64 bits.
BARCODE_BITS = (12, 12, 16, 8, 16)
NUMBERS = ("vx", "vy", "vz", "px", "py", "pz", "q")


@dataclass(frozen=True, slots=True)
class FlatTruthFile:
    """The trees of space points, measurements and particles, in one file or in three.

    Attributes
    ----------
    points, measurements, particles : tuple of (Path or str, str)
        File and tree.
    rows : EventRows
        Of the space points: its events are those of the truth.
    """

    points: tuple[Location, str]
    measurements: tuple[Location, str]
    particles: tuple[Location, str]
    rows: EventRows

    @property
    def n_events(self) -> int:
        """Number of events with a space point."""
        return len(self.rows.event_ids)

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events, one by one.

        Raises
        ------
        UnequalEventsError
            If an event has no particles or measurements, or too few of them.
        UnreadableFileError
            If a file is damaged.
        """
        with (
            open_root(self.points[0]) as points,
            open_root(self.measurements[0]) as measurements,
            open_root(self.particles[0]) as particles,
        ):
            point_table = points.table(self.points[1])
            table = measurements.table(self.measurements[1])
            rows_of = _rows_by_event(event_rows(table, "event_nr"))
            particle_table = particles.table(self.particles[1])
            ids = particle_table.scalars("event_id", 0, len(particle_table))
            entry_of = {int(number): entry for entry, number in enumerate(ids)}
            for index, number in enumerate(self.rows.event_ids.tolist()):
                if number not in rows_of or number not in entry_of:
                    lacking = self.particles if number in rows_of else self.measurements
                    raise UnequalEventsError(f"{lacking[0]}: has no event {number}")
                low, high = self.rows.row_splits[index : index + 2].tolist()
                yield [
                    TruthEvent(
                        event_id=number,
                        particle_id=self._particle_of_points(
                            _point_columns(point_table, low, high),
                            _particles_of_measurements(table, *rows_of[number]),
                            number,
                        ),
                        particles=_particles(particle_table, entry_of[number]),
                    )
                ]

    # Any: integers of any width.
    def _particle_of_points(
        self,
        measurement: tuple[NDArray[Any], NDArray[Any]],
        particles: Sequence[NDArray[np.uint64]],
        event_id: int,
    ) -> NDArray[np.uint64]:
        first, second = measurement
        has_second = second != NO_MEASUREMENT
        all_ids = np.concatenate((first, second[has_second]))
        if len(all_ids) and all_ids.max() >= len(particles):
            raise UnequalEventsError(
                f"{self.measurements[0]}: event {event_id} has {len(particles)} "
                f"measurements, a space point is of number {all_ids.max()}"
            )
        return shared_particle(
            [particles[int(number)] for number in first],
            [
                particles[int(number)] if has else None
                for number, has in zip(second, has_second, strict=True)
            ],
        )


def _rows_by_event(rows: EventRows) -> dict[int, tuple[int, int]]:
    ends = zip(rows.row_splits[:-1].tolist(), rows.row_splits[1:].tolist(), strict=True)
    return dict(zip(rows.event_ids.tolist(), ends, strict=True))


def _point_columns(
    table: RootTable, low: int, high: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    names = [name for name in POINTS if name in table.columns]
    columns = table.rows(names, low, high)
    first = columns[POINTS[0]]
    none = np.full(len(first), NO_MEASUREMENT, dtype=np.uint64)
    return first, columns.get(POINTS[1], none)


def _particles_of_measurements(
    table: RootTable, low: int, high: int
) -> list[NDArray[np.uint64]]:
    lists = table.lists([f"particles_{part}" for part in BARCODE], low, high)
    ids = packed(table.path, [column.values for column in lists], BARCODE_BITS)
    return np.split(ids, np.cumsum(lists[0].counts)[:-1])


def _particles(table: RootTable, entry: int) -> Particles:
    columns = table.lists([*BARCODE, *NUMBERS], entry, entry + 1)
    barcode, numbers = columns[: len(BARCODE)], columns[len(BARCODE) :]
    values = [column.values.astype(np.float32) for column in numbers]
    return Particles(
        particle_id=packed(table.path, [c.values for c in barcode], BARCODE_BITS),
        vertex_mm=np.column_stack(values[:3]),
        momentum_gev=np.column_stack(values[3:6]),
        charge=values[6],
    )


class _Flat:
    name = "flat"
    summary = "ACTS' spacepoints.root, with measurements.root and particles.root"

    def recognises(self, content: FileContent) -> bool:
        """Whether a tree has the columns of ACTS' space points."""
        return spacepoint_tree(content.root_tables) is not None

    def open(self, content: FileContent) -> FlatTruthFile:
        """Find the three trees, in this file or in those beside it.

        Raises
        ------
        SchemaError
            If one is not there, or lacks a column.
        """
        path, tree = content.location, spacepoint_tree(content.root_tables)
        if tree is None:
            raise SchemaError(path, "no tree of ACTS' space points")
        measurements = _find(content, "measurements", ("measurements",))
        names = ("particles", "particles_simulation", "particles_simulated")
        particles = _find(content, "particles", names)
        with open_root(measurements[0]) as file:
            parts = [f"particles_{part}" for part in BARCODE]
            file.table(measurements[1]).require(parts, scalars=("event_nr",))
        with open_root(particles[0]) as file:
            table = file.table(particles[1])
            table.require([*BARCODE, *NUMBERS], scalars=("event_id",))
            as_event_ids(table.path, table.scalars("event_id", 0, len(table)), 0)
        with open_root(path) as file:
            rows = event_rows(file.table(tree), "event_id")
        return FlatTruthFile((path, tree), measurements, particles, rows)


def _find(
    content: FileContent, tree: str, file_names: Sequence[str]
) -> tuple[Location, str]:
    if tree in content.root_tables:
        return content.location, tree
    beside = [
        path
        for path in (
            Path(content.location).with_name(f"{name}.root") for name in file_names
        )
        if isinstance(content.location, Path) and path.exists()
    ]
    if not beside:
        raise SchemaError(
            content.location, f"no tree {tree!r} in it, nor {file_names[0]}.root beside"
        )
    return beside[0], tree


TRUTH_FORMAT = _Flat()
