"""Truth of ACTS' csv files: space point, measurement, simulated hit, particle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from producers.formats.acts_csv.events import is_acts_csv
from producers.formats.base import TruthFormat
from producers.formats.particles import (
    BARCODE_BITS,
    NO_MEASUREMENT,
    PARTICLE_COLUMNS,
    packed,
    particles_from,
    shared_particle,
)
from producers.io.content import FileContent
from producers.io.csv_table import event_number, file_beside, read_csv
from producers.io.location import Location
from producers.model.errors import SchemaError
from producers.model.truth import TruthEvent
from producers.model.types import AnyArray

# The particle id: Examples/Io/Csv/src/CsvOutputData.hpp; one number, or five columns.
WHOLE = "particle_id"
PARTS = tuple(f"particle_id_{part}" for part in ("pv", "sv", "part", "gen", "subpart"))
BARCODE = dict.fromkeys((WHOLE, *PARTS), np.uint64)

ParticlesOf: TypeAlias = Callable[[NDArray[np.uint64]], Sequence[NDArray[np.uint64]]]


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
    n_events: int = 1

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the event; see `TruthFile.blocks`."""
        table = read_csv(
            self.particles,
            BARCODE | dict.fromkeys(PARTICLE_COLUMNS, np.float32),
            optional=list(BARCODE),
        )
        yield [
            TruthEvent(
                event_id=self.event_id,
                particle_id=self._particle_of_points(),
                particles=particles_from(
                    _particle_ids(self.particles, table),
                    [table[name] for name in PARTICLE_COLUMNS],
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
        particles_of = self._particles_of_measurements()
        return shared_particle(
            particles_of(first),
            [
                None if number == NO_MEASUREMENT else particles
                for number, particles in zip(second, particles_of(second), strict=True)
            ],
        )

    def _particles_of_measurements(self) -> ParticlesOf:
        links = read_csv(self.links, {"measurement_id": np.uint64, "hit_id": np.int64})
        hits = read_csv(self.hits, BARCODE, optional=list(BARCODE))
        particles = _particle_ids(self.hits, hits)
        if len(links["hit_id"]) and links["hit_id"].max() >= len(particles):
            raise SchemaError(
                self.links, f"links to a hit beyond the {len(particles)} hits"
            )
        order = np.argsort(links["measurement_id"], kind="stable")
        numbers = links["measurement_id"][order]
        of_link = particles[links["hit_id"][order]]

        def particles_of(
            measurements: NDArray[np.uint64],
        ) -> Sequence[NDArray[np.uint64]]:
            low = np.searchsorted(numbers, measurements, side="left")
            high = np.searchsorted(numbers, measurements, side="right")
            return [of_link[a:b] for a, b in zip(low, high, strict=True)]

        return particles_of


def _particle_ids(path: Location, table: Mapping[str, AnyArray]) -> NDArray[np.uint64]:
    if WHOLE in table:
        whole: NDArray[np.uint64] = table[WHOLE]
        return whole
    missing = [name for name in PARTS if name not in table]
    if missing:
        raise SchemaError(path, f"no column {missing[0]!r}, nor {WHOLE!r}")
    return packed(path, [table[name] for name in PARTS], BARCODE_BITS)


def _open(content: FileContent) -> ActsCsvTruthFile:
    path = content.location
    return ActsCsvTruthFile(
        event_id=event_number(path) or 0,
        space_points=path,
        links=file_beside(path, "measurement-simhit-map"),
        hits=file_beside(path, "hits"),
        particles=file_beside(path, "particles", "particles_simulated"),
    )


TRUTH = TruthFormat(
    name="acts-csv",
    summary="ACTS event*-spacepoint.csv, with its other csv files beside it",
    recognises=is_acts_csv,
    open=_open,
)
