"""Truth of the ATLAS dump: the particles of the clusters of a space point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TruthFormat
from producers.formats.chunks import CHUNK_BYTES, as_event_ids, ranges
from producers.formats.gnn4itk.events import CLUSTERS_OF_POINT, TREE
from producers.formats.particles import packed, particles_from, shared_particle
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


@dataclass(frozen=True, slots=True)
class Gnn4ItkTruthFile:
    """A file with the tree ``GNN4ITk``.

    Attributes
    ----------
    path : Path or str
    n_events : int
    """

    path: Location
    n_events: int

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the events; see `TruthFile.blocks`."""
        with open_root(self.path) as file:
            table = file.table(TREE)
            step = table.entries_in(CHUNK_BYTES, [*FLAT, *LINKS])
            for start, stop in ranges(0, self.n_events, step):
                yield self._read(table, start, stop)

    def _read(self, table: RootTable, start: int, stop: int) -> list[TruthEvent]:
        numbers = table.scalars("event_number", start, stop)
        event_ids = as_event_ids(self.path, numbers, start)
        links = table.nested(LINKS, start, stop)
        events = []
        for index, columns in enumerate(table.per_entry(FLAT, start, stop)):
            event_id = int(event_ids[index])
            ids = [
                packed(self.path, pair, ID_BITS)
                for pair in zip(*(links[name][index] for name in LINKS), strict=True)
            ]
            first, second = self._cluster_rows(columns, event_id, start + index)
            events.append(
                TruthEvent(
                    event_id=event_id,
                    particle_id=shared_particle(
                        [ids[row] for row in first],
                        [None if row < 0 else ids[row] for row in second],
                    ),
                    particles=self._particles(columns),
                )
            )
        return events

    def _cluster_rows(
        self, columns: Mapping[str, AnyArray], event_id: int, entry: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        # Clusters are counted from one in old dumps (acorn, athena_root_utils.py), and
        # from zero in newer ones: CLindex tells.
        index = columns["CLindex"]
        base, n_clusters = (int(index[0]) if len(index) else 0), len(index)
        given = [columns[name].astype(np.int64) for name in CLUSTERS_OF_POINT]
        first, second = given[0] - base, np.where(given[1] < 0, -1, given[1] - base)
        if len(first) and (
            first.min() < 0 or max(first.max(), second.max()) >= n_clusters
        ):
            raise InvalidEventError(
                self.path,
                event_id=event_id,
                entry=entry,
                reason=f"a space point has a cluster beyond the {n_clusters} clusters",
            )
        return first, second

    def _particles(self, columns: Mapping[str, AnyArray]) -> Particles:
        momentum = [columns[name].astype(np.float32) for name in MOMENTUM_MEV]
        return particles_from(
            packed(self.path, [columns[name] for name in PARTICLE_ID], ID_BITS),
            [
                *(columns[name] for name in VERTEX),
                *(values * GEV_PER_MEV for values in momentum),
                columns[CHARGE],
            ],
        )


def _open(content: FileContent) -> Gnn4ItkTruthFile:
    with open_root(content.location) as file:
        table = file.table(TREE)
        table.require(lists=FLAT, integers=("event_number",))
        return Gnn4ItkTruthFile(content.location, len(table))


TRUTH = TruthFormat(
    name="gnn4itk",
    summary="ATLAS DumpObjects, tree GNN4ITk: the same file as the events",
    recognises=lambda content: set(LINKS) <= set(content.root_tables.get(TREE, {})),
    open=_open,
)
