"""Truth of ACTS' csv files: space point, measurement, simulated hit, particle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from producers.formats.acts_csv.events import is_acts_csv
from producers.formats.base import TruthFile, TruthFormat
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


def _read(
    event_id: int,
    *,
    of_points: Location,
    of_links: Location,
    of_hits: Location,
    of_particles: Location,
) -> TruthEvent:
    """Read an event.

    Parameters
    ----------
    event_id : int
    of_points, of_links, of_hits, of_particles : Path or str
        ``-spacepoint``, ``-measurement-simhit-map``, ``-hits``, ``-particles``.
    """
    numbers = dict.fromkeys(PARTICLE_COLUMNS, np.float32)
    table = read_csv(of_particles, {**BARCODE, **numbers}, optional=list(BARCODE))
    particles_of = _particles_of_measurements(of_links, of_hits)
    return TruthEvent(
        event_id=event_id,
        particle_id=_particle_of_points(of_points, particles_of),
        particles=particles_from(
            of_particles,
            _particle_ids(of_particles, table),
            [table[name] for name in PARTICLE_COLUMNS],
        ),
    )


def _particle_of_points(
    of_points: Location, particles_of: ParticlesOf
) -> NDArray[np.uint64]:
    names = ("measurement_id", "measurement_id_1", "measurement_id_2")
    points = read_csv(of_points, dict.fromkeys(names, np.uint64), optional=names)
    first = points.get("measurement_id_1", points.get("measurement_id"))
    if first is None:
        raise SchemaError(of_points, "no column 'measurement_id_1'")
    second = points.get("measurement_id_2", np.full(len(first), NO_MEASUREMENT))
    return shared_particle(
        particles_of(first),
        [
            None if number == NO_MEASUREMENT else particles
            for number, particles in zip(second, particles_of(second), strict=True)
        ],
    )


def _particles_of_measurements(of_links: Location, of_hits: Location) -> ParticlesOf:
    links = read_csv(of_links, {"measurement_id": np.uint64, "hit_id": np.int64})
    hits = read_csv(of_hits, BARCODE, optional=list(BARCODE))
    particles = _particle_ids(of_hits, hits)
    if len(links["hit_id"]) and links["hit_id"].max() >= len(particles):
        raise SchemaError(of_links, f"links to a hit beyond the {len(particles)} hits")
    order = np.argsort(links["measurement_id"], kind="stable")
    numbers = links["measurement_id"][order]
    of_link = particles[links["hit_id"][order]]

    def particles_of(measurements: NDArray[np.uint64]) -> Sequence[NDArray[np.uint64]]:
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


def _open(content: FileContent) -> TruthFile:
    path = content.location
    read = partial(
        _read,
        event_number(path) or 0,
        of_points=path,
        of_links=file_beside(path, "measurement-simhit-map"),
        of_hits=file_beside(path, "hits"),
        of_particles=file_beside(path, "particles", "particles_simulated"),
    )
    return TruthFile.of_one_event(read)


TRUTH = TruthFormat(
    name="acts-csv",
    recognises=is_acts_csv,
    open=_open,
)
