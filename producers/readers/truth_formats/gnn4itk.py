"""Truth of the ATLAS dump: the particles of the clusters of a space point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import InvalidEventError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES, as_event_ids
from producers.readers.location import Location
from producers.readers.root_file import open_root
from producers.readers.root_table import RootTable, step_of
from producers.readers.truth_event import packed, shared_particle

__all__ = ["TRUTH_FORMAT", "Gnn4ItkTruthFile"]

# athena, InnerDetector/InDetGNNTracking/src/DumpObjects.cxx.
TREE = "GNN4ITk"
POINTS = ("SPCL1_index", "SPCL2_index")
CLUSTERS = ("CLindex",)
LINKS = ("CLparticleLink_eventIndex", "CLparticleLink_barcode")
PARTICLES = (
    *("Part_event_number", "Part_barcode"),
    *("Part_vx", "Part_vy", "Part_vz"),
    *("Part_px", "Part_py", "Part_pz"),
    "Part_charge",
)
MEV = 1e-3
ID_BITS = (32, 32)  # the event of the pileup, and the barcode in it


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
        """Read the events, some MB at a time.

        Raises
        ------
        InvalidEventError
            If a space point is of a cluster that is not there.
        UnreadableFileError
            If the file is damaged.
        """
        with open_root(self.path) as file:
            table = file.table(TREE)
            step = step_of(table, [*POINTS, *LINKS, *PARTICLES], CHUNK_BYTES)
            for start in range(0, self.n_events, step):
                yield self._read(table, start, min(start + step, self.n_events))

    def _read(self, table: RootTable, start: int, stop: int) -> list[TruthEvent]:
        numbers = table.scalars("event_number", start, stop)
        event_ids = as_event_ids(self.path, numbers, start)
        flat = table.per_event([*POINTS, *CLUSTERS, *PARTICLES], start, stop)
        links = table.nested(LINKS, start, stop)
        events = []
        for index, event_id in enumerate(event_ids):
            columns = {name: values[index] for name, values in flat.items()}
            ids = [
                packed(self.path, pair, ID_BITS)
                for pair in zip(*(links[name][index] for name in LINKS), strict=True)
            ]
            rows = _cluster_rows(columns, self.path, int(event_id), start + index)
            events.append(
                TruthEvent(
                    event_id=int(event_id),
                    particle_id=shared_particle(
                        [ids[row] for row in rows[0]],
                        [None if row < 0 else ids[row] for row in rows[1]],
                    ),
                    particles=_particles(self.path, columns),
                )
            )
        return events


# Any: integers and floats of several widths.
def _cluster_rows(
    columns: dict[str, NDArray[Any]], path: Location, event_id: int, entry: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Clusters are counted from one in old dumps (acorn, athena_root_utils.py), from
    # zero in newer ones: CLindex says.
    index, n_clusters = columns["CLindex"], len(columns["CLindex"])
    first = int(index[0]) if n_clusters else 0
    one, two = (columns[name].astype(np.int64) - first for name in POINTS)
    two[columns["SPCL2_index"] < 0] = -1
    if len(one) and (one.min() < 0 or max(one.max(), two.max()) >= n_clusters):
        raise InvalidEventError(
            path,
            event_id=event_id,
            entry=entry,
            reason=f"a space point is of a cluster beyond the {n_clusters} there are",
        )
    return one, two


def _particles(path: Location, columns: dict[str, NDArray[Any]]) -> Particles:
    numbers = [columns[name].astype(np.float32) for name in PARTICLES[2:]]
    return Particles(
        particle_id=packed(path, [columns[name] for name in PARTICLES[:2]], ID_BITS),
        vertex_mm=np.column_stack(numbers[:3]),
        momentum_gev=np.column_stack(numbers[3:6]) * np.float32(MEV),
        charge=numbers[6],
    )


class _Gnn4Itk:
    name = "gnn4itk"
    summary = "ATLAS DumpObjects, tree GNN4ITk: the same file as the events"

    def recognises(self, content: FileContent) -> bool:
        """Whether a tree has clusters with links to particles."""
        return set(LINKS) <= set(content.root_tables.get(TREE, {}))

    def open(self, content: FileContent) -> Gnn4ItkTruthFile:
        """Check the columns and count the events.

        Raises
        ------
        SchemaError
            If a column is not there.
        """
        with open_root(content.location) as file:
            table = file.table(TREE)
            table.require([*POINTS, *CLUSTERS, *PARTICLES], scalars=("event_number",))
            return Gnn4ItkTruthFile(content.location, len(table))


TRUTH_FORMAT = _Gnn4Itk()
