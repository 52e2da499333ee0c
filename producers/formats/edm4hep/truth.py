"""Truth of EDM4hep events: tracker hit, link, simulated hit, particle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.chunks import CHUNK_BYTES, ranges
from producers.formats.edm4hep.events import (
    TREE,
    Edm4hepFile,
    hit_collections,
    open_hits,
)
from producers.formats.particles import particles_from, require_one_length
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import open_root
from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import TruthEvent
from producers.model.types import AnyArray

METADATA = "podio_metadata"
# Where podio keeps the names and ids of collections: doc/storage_details.md. Before:
# in RNTuples as in src/RNTupleWriter.cc until podio 1.3, in TTrees as members of its
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
# How references are named: by their own names since podio 1.0 and shortly before; by
# numbers in older files.
FROM, TO = ("_{}_from", "_{}_rec", "{}#0"), ("_{}_to", "_{}_sim", "{}#1")
PARTICLE = ("_{}_particle", "_{}_MCParticle", "{}#0")


class _Link(NamedTuple):
    """The two columns of references of a collection of links."""

    sources: str
    targets: str


@dataclass(frozen=True, slots=True)
class _Collections:
    """A file with tracker hits, links to simulated hits, and MCParticles.

    Attributes
    ----------
    events : Edm4hepFile
        The same file, as its events are read.
    ids : mapping of str to int
        The ids by which references name the collections.
    links : tuple
        Links from tracker hits to simulated hits, and other links.
    particle_of : mapping of str to str
        The column of references to particles, by collection of simulated hits.
    particles : str
        The collection of MCParticles. The id of a particle is its position in it,
        counted from one.
    """

    events: Edm4hepFile
    ids: Mapping[str, int]
    links: tuple[_Link, ...]
    particle_of: Mapping[str, str]
    particles: str

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events; see `TruthFile.blocks`."""
        columns = self._columns()
        with open_root(self.events.path) as file:
            table = file.table(TREE)
            step = table.entries_in(CHUNK_BYTES, columns)
            for start, stop in ranges(0, self.events.n_events, step):
                event_ids = self.events.event_ids(table, start, stop).tolist()
                entries = table.per_entry(columns, start, stop)
                yield list(map(self._event, event_ids, entries))

    def _columns(self) -> list[str]:
        ends = [end for link in self.links for end in (link.sources, link.targets)]
        members = ("index", "collectionID")
        references = [
            f"{each}.{member}"
            for each in (*ends, *self.particle_of.values())
            for member in members
        ]
        numbers = [f"{self.particles}.{name}" for name in NUMBERS]
        return [*references, *numbers, *self._counters()]

    def _counters(self) -> list[str]:
        """Return a column of each collection of hits, whose lengths count them."""
        return [f"{name}.cellID" for name in self.events.collections]

    def _event(self, event_id: int, columns: Mapping[str, AnyArray]) -> TruthEvent:
        numbers = [columns[f"{self.particles}.{name}"] for name in NUMBERS]
        try:
            particle_id = self._particle_of_hits(columns)
        except IndexError as error:
            raise UnequalEventsError(
                f"{self.events.path}: event {event_id}: a reference leads beyond its "
                f"collection ({error})"
            ) from error
        ids = np.arange(1, len(numbers[0]) + 1, dtype=np.uint64)
        return TruthEvent(
            event_id=event_id,
            particle_id=particle_id,
            particles=particles_from(self.events.path, ids, numbers),
        )

    def _particle_of_hits(self, columns: Mapping[str, AnyArray]) -> NDArray[np.uint64]:
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
            rows = [
                columns[f"{end}.{member}"]
                for end in ends
                for member in ("collectionID", "index")
            ]
            for hits, hit, sim_hits, sim_hit in zip(*rows, strict=True):
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


def _recognises(content: FileContent) -> bool:
    """Whether there are tracker hits, links, simulated hits and particles."""
    if METADATA not in content.root_tables or not hit_collections(content):
        return False
    columns = content.root_tables[TREE]
    return all((_links(columns), _simulated(columns), _particles(columns)))


def _open(content: FileContent) -> TruthFile:
    """Find the collections and how they refer to each other."""
    path, columns = content.location, content.root_tables.get(TREE, {})
    particles = _particles(columns)
    if particles is None:
        raise SchemaError(path, "no collection of MCParticles")
    events = open_hits(content)
    simulated, ids = _simulated(columns), _collection_ids(path)
    for name in (*events.collections, *simulated):
        if name not in ids:
            raise SchemaError(path, f"podio's metadata lack {name!r}")
    found = _Collections(events, ids, _links(columns), simulated, particles)
    return TruthFile(events.n_events, found.blocks)


def _collection_ids(path: Location) -> dict[str, int]:
    with open_root(path) as file:
        table = file.table(METADATA)
        for names, ids in NAMES_AND_IDS:
            if {names, ids} <= set(table.columns):
                (numbers,) = table.lists([ids], 0, 1)
                texts = table.texts(names)
                require_one_length(path, "podio's metadata", (texts, numbers.values))
                return dict(zip(texts, numbers.values.tolist(), strict=True))
    raise SchemaError(path, "podio's metadata do not name the collections")


TRUTH = TruthFormat(
    name="edm4hep",
    recognises=_recognises,
    open=_open,
    unit="mm",  # edm4hep.yaml
)
