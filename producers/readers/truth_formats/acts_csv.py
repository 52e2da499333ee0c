"""Truth of ACTS' csv files: space point, measurement, simulated hit, particle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.csv_table import event_number, read_csv, sibling
from producers.readers.formats.acts_csv import is_acts_csv
from producers.readers.location import Location
from producers.readers.truth_event import packed, shared_particle

__all__ = ["TRUTH_FORMAT", "ActsCsvTruthFile"]

NO_MEASUREMENT = 2**64 - 1
# Examples/Io/Csv/src/CsvOutputData.hpp; before the five columns it was one number, in
# these bits (ActsFatras Barcode).
BARCODE = ("pv", "sv", "part", "gen", "subpart")
BARCODE_BITS = (12, 12, 16, 8, 16)
NUMBERS = ("vx", "vy", "vz", "px", "py", "pz", "q")


@dataclass(frozen=True, slots=True)
class ActsCsvTruthFile:
    """The files of one event.

    Attributes
    ----------
    event_id : int
    space_points, links, hits, particles : Path or str
        ``-spacepoint``, ``-measurement-simhit-map``, ``-hits``, ``-particles``.
    """

    event_id: int
    space_points: Location
    links: Location
    hits: Location
    particles: Location

    @property
    def n_events(self) -> int:
        """Always one."""
        return 1

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the event.

        Raises
        ------
        SchemaError, UnreadableFileError
            If a file lacks a column, or is damaged.
        """
        table = read_csv(
            self.particles,
            _barcode() | dict.fromkeys(NUMBERS, np.float32),
            optional=list(_barcode()),
        )
        yield [
            TruthEvent(
                event_id=self.event_id,
                particle_id=self._particle_of_points(),
                particles=Particles(
                    particle_id=_particle_ids(self.particles, table),
                    vertex_mm=np.column_stack([table[name] for name in NUMBERS[:3]]),
                    momentum_gev=np.column_stack(
                        [table[name] for name in NUMBERS[3:6]]
                    ),
                    charge=table["q"],
                ),
            )
        ]

    def _particle_of_points(self) -> NDArray[np.uint64]:
        names = ("measurement_id", "measurement_id_1", "measurement_id_2")
        points = read_csv(
            self.space_points, dict.fromkeys(names, np.uint64), optional=names
        )
        first = points.get("measurement_id_1", points.get("measurement_id"))
        if first is None:
            raise SchemaError(self.space_points, "no column 'measurement_id_1'")
        second = points.get("measurement_id_2", np.full(len(first), NO_MEASUREMENT))
        of_measurement = self._particles_of_measurements()
        return shared_particle(
            of_measurement(first),
            [
                None if number == NO_MEASUREMENT else particles
                for number, particles in zip(
                    second, of_measurement(second), strict=True
                )
            ],
        )

    def _particles_of_measurements(self) -> Any:
        links = read_csv(self.links, {"measurement_id": np.uint64, "hit_id": np.int64})
        hits = read_csv(self.hits, _barcode(), optional=list(_barcode()))
        particles = _particle_ids(self.hits, hits)
        if len(links["hit_id"]) and links["hit_id"].max() >= len(particles):
            raise SchemaError(
                self.links, f"a hit beyond the {len(particles)} there are"
            )
        order = np.argsort(links["measurement_id"], kind="stable")
        numbers = links["measurement_id"][order]
        of_link = particles[links["hit_id"][order]]

        def of(measurements: NDArray[np.uint64]) -> Sequence[NDArray[np.uint64]]:
            low = np.searchsorted(numbers, measurements, side="left")
            high = np.searchsorted(numbers, measurements, side="right")
            return [of_link[a:b] for a, b in zip(low, high, strict=True)]

        return of


def _barcode() -> dict[str, type[np.uint64]]:
    return dict.fromkeys(
        ("particle_id", *(f"particle_id_{part}" for part in BARCODE)), np.uint64
    )


def _particle_ids(path: Location, table: dict[str, NDArray[Any]]) -> NDArray[np.uint64]:
    if "particle_id" in table:
        whole: NDArray[np.uint64] = table["particle_id"]
        return whole
    names = [f"particle_id_{part}" for part in BARCODE]
    missing = [name for name in names if name not in table]
    if missing:
        raise SchemaError(path, f"no column {missing[0]!r}, nor 'particle_id'")
    return packed(path, [table[name] for name in names], BARCODE_BITS)


class _ActsCsv:
    name = "acts-csv"
    summary = "ACTS event*-spacepoint.csv, with its other csv files beside it"

    def recognises(self, content: FileContent) -> bool:
        """Whether the first line names the columns of space points."""
        return is_acts_csv(content.csv_columns)

    def open(self, content: FileContent) -> ActsCsvTruthFile:
        """Find the files of the event.

        Raises
        ------
        SchemaError
            If one of them is not there.
        """
        return ActsCsvTruthFile(
            event_id=event_number(content.location) or 0,
            space_points=content.location,
            links=_beside(content.location, "measurement-simhit-map"),
            hits=_beside(content.location, "hits"),
            particles=_beside(content.location, "particles", "particles_simulated"),
        )


def _beside(path: Location, *kinds: str) -> Location:
    for kind in kinds:
        found = sibling(path, kind)
        if found is not None:
            return found
    raise SchemaError(path, f"no file of its {kinds[0]} beside it")


TRUTH_FORMAT = _ActsCsv()
