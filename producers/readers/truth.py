"""The truth of simulated events: particles, and the particle of each space point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers.errors import SchemaError, UnequalEventsError
from producers.iteration import iterating
from producers.readers.opening import PathLike, existing_files
from producers.readers.prefetch import prefetched
from producers.readers.root_file import Lists, RootFile, RootTable, open_root, step_of

__all__ = ["Particles", "TruthEvent", "TruthEvents"]

CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Particles:
    """The generated particles of one event; arrays of one length.

    Attributes
    ----------
    particle_id : ndarray, shape (n_particles,), uint64
    vertex_mm : ndarray, shape (n_particles, 3), float32
        Production vertex.
    momentum_gev : ndarray, shape (n_particles, 3), float32
    charge : ndarray, shape (n_particles,), float32
        In e.
    """

    particle_id: NDArray[np.uint64]
    vertex_mm: NDArray[np.float32]
    momentum_gev: NDArray[np.float32]
    charge: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.particle_id)

    @property
    def pt_gev(self) -> NDArray[np.float64]:
        """Transverse momentum."""
        px, py, _ = self.momentum_gev.T.astype(np.float64)
        pt_gev: NDArray[np.float64] = np.hypot(px, py)
        return pt_gev

    @property
    def eta(self) -> NDArray[np.float64]:
        """Pseudorapidity asinh(pz / pT); infinite along the beam."""
        pz = self.momentum_gev[:, 2].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.arcsinh(pz / self.pt_gev)

    @property
    def production_radius_mm(self) -> NDArray[np.float64]:
        """Distance of the production vertex from the beam line."""
        vx, vy, _ = self.vertex_mm.T.astype(np.float64)
        radius_mm: NDArray[np.float64] = np.hypot(vx, vy)
        return radius_mm


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TruthEvent:
    """The truth of one event.

    Attributes
    ----------
    event_id : int
    particle_id : ndarray, shape (n_space_points,), uint64
        Particle of each space point, in the order of the input; 0 where it is on
        none.
    particles : Particles
    """

    event_id: int
    particle_id: NDArray[np.uint64]
    particles: Particles


_SP_COLUMNS = ("sp_particle_id",)
_PARTICLE_COLUMNS = (
    "part_particle_id",
    *("part_vx", "part_vy", "part_vz"),
    *("part_px", "part_py", "part_pz"),
    "part_q",
)


class TruthEvents:
    """Iterable over the events of truth files, in order; can be iterated again.

    Reads the trees (or RNTuples) ``sp_truth`` and ``particles`` that
    `producers.writers.TruthWriter` writes.

    Parameters
    ----------
    paths : path, or sequence of path

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If a file is not there, or is not a truth file.
    UnequalEventsError
        If the two trees of a file have different numbers of entries.
    """

    def __init__(self, paths: PathLike | Sequence[PathLike]) -> None:
        self.paths = existing_files(paths)
        self._n_events = sum(map(_count_events, self.paths))

    def __len__(self) -> int:
        return self._n_events

    def __iter__(self) -> Iterator[TruthEvent]:
        with iterating(prefetched(self._blocks())) as blocks:
            for block in blocks:
                yield from block

    def _blocks(self) -> Iterator[list[TruthEvent]]:
        for path in self.paths:
            with open_root(path) as file:
                tables = _tables(file)
                step = step_of(tables[0], _names(tables[0], _SP_COLUMNS), CHUNK_BYTES)
                for start in range(0, len(tables[0]), step):
                    stop = min(start + step, len(tables[0]))
                    yield _read_block(path, tables, start, stop)


def _tables(file: RootFile) -> tuple[RootTable, RootTable]:
    return file.table("sp_truth"), file.table("particles")


def _count_events(path: Path) -> int:
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
    path: Path, tables: tuple[RootTable, RootTable], start: int, stop: int
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
    hit_ids = _split(_as_ids(path, hits))
    all_particles = Particles(
        particle_id=_as_ids(path, ids).values,
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
            particles=_rows(all_particles, slice(splits[index], splits[index + 1])),
        )
        for index, event_id in enumerate(event_ids)
    ]


def _as_ids(path: Path, column: Lists) -> Lists:
    if column.values.dtype.kind not in "iu":
        # As floats, ids above 2^53 are no longer distinct.
        raise SchemaError(path, "particle ids must be integers, got floating point")
    return column._replace(values=column.values.astype(np.uint64, copy=False))


def _split(column: Lists) -> list[NDArray[np.uint64]]:
    return np.split(column.values, np.cumsum(column.counts)[:-1])


def _rows(particles: Particles, rows: slice) -> Particles:
    return Particles(
        particle_id=particles.particle_id[rows],
        vertex_mm=particles.vertex_mm[rows],
        momentum_gev=particles.momentum_gev[rows],
        charge=particles.charge[rows],
    )
