"""Truth of EDM4hep events: tracker hit, link, simulated hit, particle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES
from producers.readers.formats import ReadOptions
from producers.readers.formats.edm4hep import FORMAT as EVENTS
from producers.readers.formats.edm4hep import TREE, Edm4hepFile
from producers.readers.location import Location
from producers.readers.root_file import open_root
from producers.readers.root_table import RootTable, step_of

__all__ = ["TRUTH_FORMAT", "Edm4hepTruthFile"]

METADATA = "podio_metadata"
# Where podio keeps the names and ids of collections: doc/storage_details.md; before, in
# RNTuples as src/RNTupleWriter.cc had it until podio 1.3, in TTrees as members of its
# class CollectionIDTable.
INFO, TABLE = "events___CollectionTypeInfo", "events___idTable"
NAMES_AND_IDS = (
    (f"{INFO}.name", f"{INFO}.collectionID"),
    ("events_collectionNames", TABLE),
    (f"{TABLE}.m_names", f"{TABLE}.m_collectionIDs"),
    (f"{TABLE}/m_names", f"{TABLE}/m_collectionIDs"),
)
NUMBERS = (
    *("vertex.x", "vertex.y", "vertex.z"),
    *("momentum.x", "momentum.y", "momentum.z"),
    "charge",
)
# How references are stored: by name since podio 1.0 and shortly before, else counted.
FROM, TO = ("_{}_from", "_{}_rec", "{}#0"), ("_{}_to", "_{}_sim", "{}#1")
PARTICLE = ("_{}_particle", "_{}_MCParticle", "{}#0")


@dataclass(frozen=True, slots=True)
class _Link:
    """Branches of what refers from one collection to others."""

    sources: str
    targets: str


@dataclass(frozen=True, slots=True)
class Edm4hepTruthFile:
    """A file with tracker hits, links to simulated hits, and MCParticles.

    Attributes
    ----------
    events : Edm4hepFile
        The same file, as its events are read.
    ids : mapping of str to int
        What podio calls the collections in references.
    links : tuple
        From tracker hits to simulated hits, and what else is linked.
    particle_of : mapping of str to str
        By collection of simulated hits, the references to particles.
    particles : str
        The collection of MCParticles. The id of a particle is its place in it,
        counted from one.
    """

    events: Edm4hepFile
    ids: Mapping[str, int]
    links: tuple[_Link, ...]
    particle_of: Mapping[str, str]
    particles: str

    @property
    def n_events(self) -> int:
        """Number of events in it."""
        return self.events.n_events

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events, some MB at a time.

        Raises
        ------
        UnequalEventsError
            If a reference leads beyond its collection.
        UnreadableFileError
            If the file is damaged.
        """
        with open_root(self.events.path) as file:
            table = file.table(TREE)
            step = step_of(table, self._columns(), CHUNK_BYTES)
            for start in range(0, self.n_events, step):
                yield self._read(table, start, min(start + step, self.n_events))

    def _references(self) -> list[str]:
        ends = [end for link in self.links for end in (link.sources, link.targets)]
        return [*ends, *self.particle_of.values()]

    def _columns(self) -> list[str]:
        members = ("index", "collectionID")
        references = [f"{each}.{m}" for each in self._references() for m in members]
        numbers = [f"{self.particles}.{name}" for name in NUMBERS]
        return [*references, *numbers, *self._counters()]

    def _counters(self) -> list[str]:
        return [f"{name}.cellID" for name in self.events.collections]

    def _read(self, table: RootTable, start: int, stop: int) -> list[TruthEvent]:
        columns = table.per_event(self._columns(), start, stop)
        event_ids = self.events.event_ids(table, start, stop)
        return [
            self._event(
                int(event_id), {name: each[index] for name, each in columns.items()}
            )
            for index, event_id in enumerate(event_ids)
        ]

    # Any: numbers of several types.
    def _event(self, event_id: int, columns: dict[str, NDArray[Any]]) -> TruthEvent:
        own = [columns[f"{self.particles}.{name}"] for name in NUMBERS]
        numbers = [values.astype(np.float32) for values in own]
        n_particles = len(numbers[0])
        try:
            particle_id = self._particle_of_hits(columns)
        except IndexError as error:
            raise UnequalEventsError(
                f"{self.events.path}: event {event_id}: a reference leads beyond its "
                f"collection ({error})"
            ) from error
        return TruthEvent(
            event_id=event_id,
            particle_id=particle_id,
            particles=Particles(
                particle_id=np.arange(1, n_particles + 1, dtype=np.uint64),
                vertex_mm=np.column_stack(numbers[:3]),
                momentum_gev=np.column_stack(numbers[3:6]),
                charge=numbers[6],
            ),
        )

    def _particle_of_hits(self, columns: dict[str, NDArray[Any]]) -> NDArray[np.uint64]:
        found = {
            self.ids[name]: np.zeros(len(columns[counter]), dtype=np.uint64)
            for name, counter in zip(
                self.events.collections, self._counters(), strict=True
            )
        }
        simulated = {
            self.ids[name]: columns[f"{reference}.index"].astype(np.int64) + 1
            for name, reference in self.particle_of.items()
        }
        for link in self.links:
            ends = (link.sources, link.targets)
            of = [columns[f"{e}.{m}"] for e in ends for m in ("collectionID", "index")]
            for hits, hit, sim_hits, sim_hit in zip(*of, strict=True):
                if hits in found and sim_hits in simulated:
                    found[hits][hit] = max(simulated[sim_hits][sim_hit], 0)
        return np.concatenate(list(found.values()))


def _reference(
    columns: Mapping[str, str], forms: tuple[str, ...], collection: str
) -> str | None:
    for form in forms:
        name = form.format(collection)
        if f"{name}.index" in columns and f"{name}.collectionID" in columns:
            return name
    return None


def _links(columns: Mapping[str, str]) -> tuple[_Link, ...]:
    found = []
    names = [name for name in columns if "/" not in name and name.endswith(".weight")]
    for name in (each.removesuffix(".weight") for each in names):
        source, target = (_reference(columns, form, name) for form in (FROM, TO))
        if source is not None and target is not None:
            found.append(_Link(source, target))
    return tuple(found)


def _simulated(columns: Mapping[str, str]) -> dict[str, str]:
    """Return the references to particles, by collection of simulated hits."""
    found = {}
    for name in (each.removesuffix(".pathLength") for each in columns):
        reference = _reference(columns, PARTICLE, name)
        if f"{name}.pathLength" in columns and "/" not in name and reference:
            found[name] = reference
    return found


def _particles(columns: Mapping[str, str]) -> str | None:
    for name in (each.removesuffix(".generatorStatus") for each in columns):
        if f"{name}.generatorStatus" in columns and "/" not in name:
            return name
    return None


class _Edm4hep:
    name = "edm4hep"
    summary = "EDM4hep: the same file as the events, with links to simulated hits"

    def recognises(self, content: FileContent) -> bool:
        """Whether there are tracker hits, links, simulated hits and particles."""
        if not EVENTS.recognises(content, ReadOptions()):
            return False
        columns = content.root_tables[TREE]
        parts = (_links(columns), _simulated(columns), _particles(columns))
        return METADATA in content.root_tables and all(parts)

    def open(self, content: FileContent) -> Edm4hepTruthFile:
        """Find the collections and how they refer to each other.

        Raises
        ------
        SchemaError
            If one is not there, or podio's metadata do not name it.
        """
        columns = content.root_tables.get(TREE, {})
        particles = _particles(columns)
        if particles is None:
            raise SchemaError(content.location, "no collection of MCParticles")
        events, simulated = EVENTS.open(content, ReadOptions()), _simulated(columns)
        ids = _collection_ids(content.location)
        for name in (*events.collections, *simulated):
            if name not in ids:
                raise SchemaError(content.location, f"podio's metadata lack {name!r}")
        return Edm4hepTruthFile(events, ids, _links(columns), simulated, particles)


def _collection_ids(path: Location) -> dict[str, int]:
    with open_root(path) as file:
        table = file.table(METADATA)
        for names, ids in NAMES_AND_IDS:
            if {names, ids} <= set(table.columns):
                (numbers,) = table.lists([ids], 0, 1)
                found = zip(table.texts(names), numbers.values.tolist(), strict=True)
                return dict(found)
    raise SchemaError(path, "podio's metadata do not name the collections")


TRUTH_FORMAT = _Edm4hep()
