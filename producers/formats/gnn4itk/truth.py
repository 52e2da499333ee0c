"""Truth of the ATLAS dump: the particles of the clusters of a space point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.chunks import CHUNK_BYTES, as_event_ids, ranges
from producers.formats.gnn4itk.events import CLUSTERS_OF_POINT, TREE
from producers.formats.particles import (
    packed,
    particles_from,
    require_one_length,
    shared_particle,
)
from producers.io.content import FileContent
from producers.io.location import Location
from producers.io.root import RootTable, open_root
from producers.model.errors import InvalidEventError
from producers.model.truth import Particles, TruthEvent
from producers.model.types import AnyArray

LINKS = ("CLparticleLink_eventIndex", "CLparticleLink_barcode")
PARTICLE_ID = ("Part_event_number", "Part_barcode")
VERTEX = ("Part_vx", "Part_vy", "Part_vz")
MOMENTUM_MEV = ("Part_px", "Part_py", "Part_pz")
CHARGE = "Part_charge"
FLAT = (
    *CLUSTERS_OF_POINT,
    "CLindex",
    *PARTICLE_ID,
    *VERTEX,
    *MOMENTUM_MEV,
    CHARGE,
)
GEV_PER_MEV = np.float32(1e-3)
ID_BITS = (32, 32)  # the pileup event, and the barcode in it


def _blocks(path: Location, n_events: int) -> Iterator[list[TruthEvent]]:
    with open_root(path) as file:
        table = file.table(TREE)
        step = table.entries_in(CHUNK_BYTES, [*FLAT, *LINKS])
        for start, stop in ranges(0, n_events, step):
            yield _read(path, table, start, stop)


def _read(path: Location, table: RootTable, start: int, stop: int) -> list[TruthEvent]:
    numbers = table.scalars("event_number", start, stop)
    event_ids = as_event_ids(path, numbers, start)
    links = table.nested(LINKS, start, stop)
    events = []
    for index, columns in enumerate(table.per_entry(FLAT, start, stop)):
        event_id = int(event_ids[index])
        linked = [links[name][index] for name in LINKS]
        require_one_length(path, "clusters", (columns["CLindex"], *linked))
        given = [columns[name] for name in CLUSTERS_OF_POINT]
        require_one_length(path, "the clusters of space points", given)
        ids = [packed(path, pair, ID_BITS) for pair in zip(*linked, strict=True)]
        first, second = _cluster_rows(path, columns, event_id, start + index)
        events.append(
            TruthEvent(
                event_id=event_id,
                particle_id=shared_particle(
                    [ids[row] for row in first],
                    [None if row < 0 else ids[row] for row in second],
                ),
                particles=_particles(path, columns),
            )
        )
    return events


def _cluster_rows(
    path: Location, columns: Mapping[str, AnyArray], event_id: int, entry: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Clusters are counted from one in old dumps (acorn, athena_root_utils.py), and
    # from zero in newer ones: CLindex tells.
    index = columns["CLindex"]
    base, n_clusters = (int(index[0]) if len(index) else 0), len(index)
    given = [columns[name].astype(np.int64) for name in CLUSTERS_OF_POINT]
    first, second = given[0] - base, np.where(given[1] < 0, -1, given[1] - base)
    if len(first) and (first.min() < 0 or max(first.max(), second.max()) >= n_clusters):
        raise InvalidEventError(
            path,
            event_id=event_id,
            entry=entry,
            reason=f"a space point has a cluster beyond the {n_clusters} clusters",
        )
    return first, second


def _particles(path: Location, columns: Mapping[str, AnyArray]) -> Particles:
    momentum = [columns[name].astype(np.float32) for name in MOMENTUM_MEV]
    return particles_from(
        path,
        packed(path, [columns[name] for name in PARTICLE_ID], ID_BITS),
        [
            *(columns[name] for name in VERTEX),
            *(values * GEV_PER_MEV for values in momentum),
            columns[CHARGE],
        ],
    )


def _open(content: FileContent) -> TruthFile:
    path = content.location
    with open_root(path) as file:
        table = file.table(TREE)
        table.require(lists=FLAT, integers=("event_number",))
        return TruthFile(len(table), partial(_blocks, path, len(table)))


TRUTH = TruthFormat(
    name="gnn4itk",
    recognises=lambda content: set(LINKS) <= set(content.root_tables.get(TREE, {})),
    open=_open,
)
