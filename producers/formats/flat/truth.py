"""Truth of ACTS' ROOT files: space point, measurement, particle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.chunks import as_event_ids
from producers.formats.flat.events import EventRows, event_rows, space_point_tree
from producers.formats.particles import (
    BARCODE_BITS,
    NO_MEASUREMENT,
    PARTICLE_COLUMNS,
    packed,
    particles_from,
    require_equal_counts,
    shared_particle,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, open_root
from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import Particles, TruthEvent
from producers.model.types import AnyArray

# Examples/Io/Root: RootSpacePointWriter, RootMeasurementWriter, RootParticleWriter.
POINTS = ("measurement_id", "measurement_id_2")
BARCODE = (
    *("vertex_primary", "vertex_secondary"),
    *("particle", "generation", "sub_particle"),
)
BARCODES_OF_MEASUREMENT = tuple(f"particles_{part}" for part in BARCODE)


@dataclass(frozen=True, slots=True)
class _Trees:
    """The trees of space points, measurements and particles, in one file or in three.

    Attributes
    ----------
    points, measurements, particles : tuple of (Path or str, str)
        File and tree.
    rows : EventRows
        Rows of the space points, whose events are those of the truth.
    """

    points: tuple[Location, str]
    measurements: tuple[Location, str]
    particles: tuple[Location, str]
    rows: EventRows

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events one by one; see `TruthFile.blocks`."""
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
            for number, rows in _rows_by_event(self.rows).items():
                if number not in rows_of or number not in entry_of:
                    lacking = self.particles if number in rows_of else self.measurements
                    raise UnequalEventsError(f"{lacking[0]}: has no event {number}")
                yield [
                    TruthEvent(
                        event_id=number,
                        particle_id=self._particle_of_points(
                            _measurements_of_points(point_table, *rows),
                            _particles_of_measurements(table, *rows_of[number]),
                            number,
                        ),
                        particles=_particles(particle_table, entry_of[number]),
                    )
                ]

    def _particle_of_points(
        self,
        measurements: tuple[AnyArray, AnyArray],
        particles: Sequence[NDArray[np.uint64]],
        event_id: int,
    ) -> NDArray[np.uint64]:
        first, second = measurements
        has_second = second != NO_MEASUREMENT
        all_ids = np.concatenate((first, second[has_second]))
        if len(all_ids) and all_ids.max() >= len(particles):
            raise UnequalEventsError(
                f"{self.measurements[0]}: event {event_id} has {len(particles)} "
                f"measurements, a space point refers to number {all_ids.max()}"
            )
        return shared_particle(
            [particles[int(number)] for number in first],
            [
                particles[int(number)] if has else None
                for number, has in zip(second, has_second, strict=True)
            ],
        )


def _rows_by_event(rows: EventRows) -> dict[int, tuple[int, int]]:
    ends = pairwise(rows.row_splits.tolist())
    return dict(zip(rows.event_ids.tolist(), ends, strict=True))


def _measurements_of_points(
    table: RootTable, low: int, high: int
) -> tuple[AnyArray, AnyArray]:
    names = [name for name in POINTS if name in table.columns]
    columns = table.rows(names, low, high)
    first = columns[POINTS[0]]
    none = np.full(len(first), NO_MEASUREMENT, dtype=np.uint64)
    return first, columns.get(POINTS[1], none)


def _particles_of_measurements(
    table: RootTable, low: int, high: int
) -> list[NDArray[np.uint64]]:
    lists = table.lists(BARCODES_OF_MEASUREMENT, low, high)
    require_equal_counts(table.path, "the particles of measurements", lists)
    ids = packed(table.path, [column.values for column in lists], BARCODE_BITS)
    return lists[0]._replace(values=ids).by_entry()


def _particles(table: RootTable, entry: int) -> Particles:
    lists = table.lists([*BARCODE, *PARTICLE_COLUMNS], entry, entry + 1)
    columns = [column.values for column in lists]
    ids = packed(table.path, columns[: len(BARCODE)], BARCODE_BITS)
    return particles_from(table.path, ids, columns[len(BARCODE) :])


def _open(content: FileContent) -> TruthFile:
    """Find the three trees, in this file or in those beside it."""
    path, tree = content.location, space_point_tree(content)
    if tree is None:
        raise SchemaError(path, "no tree of ACTS' space points")
    measurements = _find(content, "measurements", ("measurements",))
    names = ("particles", "particles_simulation", "particles_simulated")
    particles = _find(content, "particles", names)
    with open_root(measurements[0]) as file:
        table = file.table(measurements[1])
        table.require(lists=BARCODES_OF_MEASUREMENT, integers=["event_nr"])
    with open_root(particles[0]) as file:
        table = file.table(particles[1])
        table.require(lists=[*BARCODE, *PARTICLE_COLUMNS], integers=["event_id"])
        as_event_ids(table.path, table.scalars("event_id", 0, len(table)), 0)
    with open_root(path) as file:
        rows = event_rows(file.table(tree), "event_id")
    trees = _Trees((path, tree), measurements, particles, rows)
    return TruthFile(len(rows.event_ids), trees.blocks)


def _find(
    content: FileContent, tree: str, file_names: Sequence[str]
) -> tuple[Location, str]:
    path = content.location
    if tree in content.root_tables:
        return path, tree
    beside = [Path(path).with_name(f"{name}.root") for name in file_names]
    for other in beside if isinstance(path, Path) else ():
        if other.exists():
            return other, tree
    raise SchemaError(path, f"no tree {tree!r} in it, nor {file_names[0]}.root beside")


TRUTH = TruthFormat(
    name="flat",
    recognises=lambda content: space_point_tree(content) is not None,
    open=_open,
)
