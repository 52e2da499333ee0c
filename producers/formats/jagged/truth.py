"""Truth in two tables of a ROOT file: as `TruthWriter` writes it, or by columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.chunks import CHUNK_BYTES, as_event_ids, ranges
from producers.formats.flat.events import event_rows
from producers.formats.particles import (
    PARTICLE_COLUMNS,
    as_particle_ids,
    charges_of,
    particles_from,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, is_list, open_root
from producers.io.root_writer import RootWriter, TableSpec
from producers.io.tables import Lists
from producers.model.chunk import splits_of
from producers.model.errors import (
    DataError,
    SchemaError,
    UnequalEventsError,
    UnreadableFileError,
)
from producers.model.truth import Particles, TruthEvent
from producers.model.truth_schema import MOMENTUM, PT_ETA_PHI, VERTEX, TruthMapping
from producers.model.types import AnyArray
from sonic_base import nearest_names

POINTS, PARTICLES = "sp_truth", "particles"
PARTICLE_OF_POINT = "sp_particle_id"
ID = "part_particle_id"
PART_NUMBERS = tuple(f"part_{name}" for name in PARTICLE_COLUMNS)
OWN = TruthMapping.from_dict(
    {
        "tree": POINTS,
        "point_particle": PARTICLE_OF_POINT,
        "event": "event",
        "particles": PARTICLES,
        "id": ID,
        "pdg": "part_pdg",
        **dict(zip(PARTICLE_COLUMNS, PART_NUMBERS, strict=True)),
    }
)
"""The columns that `TruthWriter` writes into TTrees."""

NO_VERTEX = (
    "the truth has no production vertices (vx, vy, vz): particles count wherever they "
    "were produced, displaced particles are not told apart, and the points of a "
    "particle are ordered by their distance from the origin"
)
LARGEST_MOMENTUM_GEV = 7000.0
"""That of a proton of the LHC's beams."""

NOT_IN_GEV = (
    f"the truth has momenta above {LARGEST_MOMENTUM_GEV:g} GeV: if they are in MeV, "
    'give momentum_unit = "MeV" in the table [truth]'
)
CHARGE_OF_PDG = (
    "the truth has no charges (q): they follow from the PDG ids (Monte Carlo numbering "
    "scheme of the Particle Data Group)"
)


class _Table(NamedTuple):
    """A table as lists per event, whether it has one row per event or per point.

    Attributes
    ----------
    table : RootTable
    event_ids : ndarray, shape (n_events,), int64, or None
        None if its events have no numbers.
    row_splits : ndarray, shape (n_events + 1,), int64, or None
        None if there is one row per event.
    """

    table: RootTable
    event_ids: NDArray[np.int64] | None
    row_splits: NDArray[np.int64] | None

    @classmethod
    def of(cls, table: RootTable, columns: Sequence[str], event: str | None) -> _Table:
        """Check the columns, and read the numbers of the events.

        Raises
        ------
        SchemaError
            If a column is missing, or holds something else than numbers.
        """
        integers = () if event is None else (event,)
        kind = _kind(table, columns[0])
        if kind is None or is_list(kind):
            table.require(lists=columns, integers=integers)
            if event is None:
                return cls(table, None, None)
            numbers = table.scalars(event, 0, len(table))
            return cls(table, as_event_ids(table.path, numbers, 0), None)
        table.require(numbers=columns, integers=integers)
        if event is None:
            raise SchemaError(
                table.path,
                f"one row of {table.name!r} holds one number, so the rows need the "
                "number of their event; name its column (event, particle_event)",
            )
        return cls(table, *event_rows(table, event))

    def __len__(self) -> int:
        return len(self.table) if self.row_splits is None else len(self.row_splits) - 1

    def lists(self, columns: Sequence[str], start: int, stop: int) -> list[Lists]:
        """Read columns of some events."""
        if self.row_splits is None:
            return self.table.lists(columns, start, stop)
        low, high = int(self.row_splits[start]), int(self.row_splits[stop])
        rows = self.table.rows(columns, low, high)
        counts = np.diff(self.row_splits[start : stop + 1])
        return [Lists(rows[name], counts) for name in columns]


def _kind(table: RootTable, column: str) -> str | None:
    place = table.place(column)
    return None if place is None else place.table.column_types.get(column)


class _Truth(NamedTuple):
    """A file of truth; its tables are opened when they are read."""

    path: Location
    columns: TruthMapping
    points: str
    particles: str

    @contextmanager
    def tables(self) -> Iterator[tuple[_Table, _Table]]:
        """Open the tables of space points and of particles.

        Raises
        ------
        UnequalEventsError
            If they have different events.
        """
        columns = self.columns
        with open_root(self.path) as file:
            points = _Table.of(
                file.table(self.points), [columns.point_particle], columns.event
            )
            table, event = file.table(self.particles), columns.particle_event
            own = None if columns.event is None else table.place(columns.event)
            if event is None and own is not None and own.table is table:
                event = columns.event
            particles = _Table.of(table, self._of_particles, event)
            if particles.row_splits is None and len(particles) != len(points):
                raise UnequalEventsError(
                    f"{self.path}: {len(points)} events in {self.points!r}, "
                    f"{len(particles)} in {self.particles!r}"
                )
            yield points, particles

    @property
    def _of_particles(self) -> list[str]:
        ids = [] if self.columns.id is None else [self.columns.id]
        return [*ids, *self.columns.numbers.values()]

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events; see `TruthFile.blocks`."""
        with self.tables() as (points, particles):
            step = points.table.entries_in(CHUNK_BYTES, [self.columns.point_particle])
            if points.row_splits is not None:
                step = max(1, step * len(points) // max(len(points.table), 1))
            for start, stop in ranges(0, len(points), step):
                yield self._read(points, particles, start, stop)

    def _read(
        self, points: _Table, particles: _Table, start: int, stop: int
    ) -> list[TruthEvent]:
        (hits,) = points.lists([self.columns.point_particle], start, stop)
        event_ids = np.arange(start, stop)
        if points.event_ids is not None:
            event_ids = points.event_ids[start:stop]
        if particles.row_splits is None:
            own_ids = particles.event_ids
            if own_ids is not None and points.event_ids is not None:
                self._require_same(event_ids, own_ids[start:stop], start)
            blocks = [particles.lists(self._of_particles, start, stop)]
        else:
            places = self._places(event_ids, particles)
            blocks = [
                particles.lists(self._of_particles, first, last)
                for first, last in places
            ]
        found = [each for block in blocks for each in self._particles(block)]
        of_point = self._as_ids(hits.values)
        of_points = hits._replace(values=of_point).by_entry()
        together = zip(event_ids.tolist(), of_points, found, strict=True)
        return [
            TruthEvent(event_id=number, particle_id=ids, particles=own)
            for number, ids, own in together
        ]

    def _require_same(
        self, ids: NDArray[np.int64], others: NDArray[np.int64], start: int
    ) -> None:
        unequal = np.flatnonzero(ids != others)
        if unequal.size:
            index = int(unequal[0])
            raise UnequalEventsError(
                f"{self.path}: entry {start + index} is event {ids[index]} in "
                f"{self.points!r} and event {others[index]} in {self.particles!r}"
            )

    def _places(
        self, event_ids: NDArray[np.int64], particles: _Table
    ) -> list[tuple[int, int]]:
        """Return the place of each event in a table of particles; empty if nowhere."""
        place_of = {}
        if particles.event_ids is not None:
            place_of = {int(n): i for i, n in enumerate(particles.event_ids)}
        places = [place_of.get(int(number)) for number in event_ids]
        return [(0, 0) if place is None else (place, place + 1) for place in places]

    def _particles(self, columns: list[Lists]) -> list[Particles]:
        """Return the particles of each event."""
        counts = columns[0].counts
        if any((column.counts != counts).any() for column in columns):
            raise UnequalEventsError(
                f"{self.path}: columns of {self.particles!r} of unequal length"
            )
        splits = splits_of(counts)
        values = [column.values for column in columns]
        if self.columns.id is None:
            starts = np.repeat(splits[:-1], counts)
            ids = (np.arange(splits[-1]) - starts + 1).astype(np.uint64)
        else:
            ids = as_particle_ids(self.path, values.pop(0))
        numbers = dict(zip(self.columns.numbers, values, strict=True))
        together = particles_from(self.path, ids, _physics(numbers, self.columns))
        # A table without a row of this event gives no list at all.
        if not len(counts):
            return [together]
        pairs = pairwise(splits.tolist())
        return [together.rows(first, last) for first, last in pairs]

    def _as_ids(self, values: AnyArray) -> NDArray[np.uint64]:
        """Return the particle of each space point; 0 where it is on none."""
        as_particle_ids(self.path, values)  # integers, or an error
        if values.dtype.kind == "i":
            offset = 1 if self.columns.id is None else 0
            values = np.maximum(values.astype(np.int64) + offset, 0)
        elif self.columns.id is None:
            values = values + np.uint64(1)
        return as_particle_ids(self.path, values)


def _physics(
    numbers: Mapping[str, AnyArray], columns: TruthMapping
) -> list[NDArray[np.floating]]:
    """Return vx, vy, vz, px, py, pz, q; a vertex that is not known is NaN."""
    doubles = {k: v.astype(np.float64) for k, v in numbers.items() if k != "pdg"}
    if columns.pt is not None:
        pt, eta, phi = (doubles[key] for key in PT_ETA_PHI)
        momentum = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
    else:
        momentum = [doubles[key] for key in MOMENTUM]
    scale = 1e-3 if columns.momentum_unit == "MeV" else 1.0
    charge = doubles["q"] if columns.q is not None else charges_of(numbers["pdg"])
    unknown = np.full(len(charge), np.nan)
    vertex = [doubles.get(key, unknown) for key in VERTEX]
    return [*vertex, *(each * scale for each in momentum), charge]


def open_truth(content: FileContent, columns: TruthMapping) -> TruthFile:
    """Return the truth in these columns, which are checked.

    Raises
    ------
    UnreadableFileError
        If it is not a ROOT file.
    SchemaError
        If a tree or a column is missing, or holds something else.
    UnequalEventsError
        If the tables have different numbers of events.
    """
    path = content.location
    if content.container != "root":
        raise UnreadableFileError(path, "truth by columns is read from ROOT files only")
    first = columns.id or next(iter(columns.numbers.values()))
    truth = _Truth(
        path,
        columns,
        points=columns.tree or _tree_with(content, columns.point_particle),
        particles=columns.particles or _tree_with(content, first),
    )
    remarks = [NO_VERTEX] if columns.vx is None else []
    remarks += [CHARGE_OF_PDG] if columns.q is None else []
    remarks += [NOT_IN_GEV] if _is_beyond_the_beam(truth) else []
    with truth.tables() as (points, _):
        return TruthFile(len(points), truth.blocks, tuple(remarks))


def _is_beyond_the_beam(truth: _Truth) -> bool:
    """Whether one of the first events has a momentum that no collision gives."""
    if truth.columns.momentum_unit != "GeV":
        return False
    with suppress(DataError):  # who reads the events gets it
        for event in next(truth.blocks(), []):
            momentum = event.particles.momentum_gev.astype(np.float64)
            if (np.linalg.norm(momentum, axis=1) > LARGEST_MOMENTUM_GEV).any():
                return True
    return False


def _tree_with(content: FileContent, column: str) -> str:
    found = [tree for tree, kinds in content.root_tables.items() if column in kinds]
    if len(found) == 1:
        return found[0]
    has = f"trees {', '.join(map(repr, found))}" if found else "no tree"
    all_columns = [name for kinds in content.root_tables.values() for name in kinds]
    nearest = "name the tree" if found else nearest_names(column, all_columns)
    raise SchemaError(
        content.location, f"{has} with the column {column!r} of the truth; {nearest}"
    )


def _open(content: FileContent) -> TruthFile:
    """Open the file of `TruthWriter`, in which some columns may be missing."""
    particles = content.root_tables[PARTICLES]
    record = ID.replace("_", ".", 1)
    names = {
        entry.name: getattr(OWN, entry.name)
        for entry in fields(OWN)
        if isinstance(getattr(OWN, entry.name), str)
    }
    if record in particles:  # an RNTuple
        names |= {
            key: name.replace("_", ".", 1)
            for key, name in names.items()
            if name.startswith(("sp_particle", "part_"))
        }
    if not any(names[key] in particles for key in VERTEX):
        names = {key: name for key, name in names.items() if key not in VERTEX}
    if names["q"] not in particles and names["pdg"] in particles:
        del names["q"]
    return open_truth(content, TruthMapping.from_dict(names))


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
            columns={PARTICLE_OF_POINT: np.uint64, "sp_n_true_hits": np.int32},
            record="sp",
        ),
        TableSpec(
            name=PARTICLES,
            columns={
                ID: np.uint64,
                "part_pdg": np.int32,
                **dict.fromkeys(PART_NUMBERS, np.float32),
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
