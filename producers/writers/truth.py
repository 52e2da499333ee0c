"""The truth of simulated events, in a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.writers.space_points import require_one_length
from producers.writers.table import RootWriter, TableSpec

__all__ = ["EventWithTruth", "TruthWriter"]

SPACE_POINT_TRUTH = TableSpec(
    name="sp_truth",
    columns={"sp_particle_id": np.uint64, "sp_n_true_hits": np.int32},
    record="sp",
)

PARTICLES = TableSpec(
    name="particles",
    columns={
        "part_particle_id": np.uint64,
        "part_pdg": np.int32,
        "part_vx": np.float32,
        "part_vy": np.float32,
        "part_vz": np.float32,
        "part_px": np.float32,
        "part_py": np.float32,
        "part_pz": np.float32,
        "part_q": np.float32,
        "part_nhits": np.int32,
        "part_primary_vertex": np.int32,
    },
    record="part",
)


class EventWithTruth(Protocol):
    """What the simulation knows of one event."""

    @property
    def event_id(self) -> int:
        """Number of the event in its sample."""

    @property
    def particle_id(self) -> NDArray[np.uint64]:
        """Particle of each space point, in their order; 0 where it is on none."""

    # Any: integers of any width, and columns of several types.
    @property
    def n_true_hits(self) -> NDArray[Any]:
        """Simulated hits merged into each space point."""

    @property
    def particles(self) -> Mapping[str, NDArray[Any]]:
        """The columns of the tree ``particles``, without the prefix ``part_``."""


class TruthWriter(RootWriter):
    """Writes a file of truth; complete, or not at all.

    Two tables, each with one entry per event and the column ``event`` (int64).
    ``sp_truth``: ``sp_particle_id`` (uint64) and ``sp_n_true_hits`` (int32), in the
    order of the space points. ``particles``: ``part_particle_id`` (uint64),
    ``part_pdg``, ``part_vx, part_vy, part_vz`` (mm), ``part_px, part_py, part_pz``
    (GeV), ``part_q`` (e), ``part_nhits``, ``part_primary_vertex``. In RNTuples,
    ``sp`` and ``part`` are lists of records.

    Parameters
    ----------
    path : path
    form : {"ttree", "rntuple"}
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ConfigError
        If `form` is another.
    OutputExistsError, OutputError
        On entering, if the file must not or cannot be written.
    """

    specs: ClassVar = (SPACE_POINT_TRUTH, PARTICLES)

    def write(self, event: EventWithTruth) -> None:
        """Add one event. Its arrays are not copied: leave them unchanged.

        Raises
        ------
        ValueError
            If the arrays of a table are of different lengths or of the wrong kind:
            particle ids pass as uint64 only.
        OutputError
            If the file cannot be written.
        """
        points = {
            "sp_particle_id": event.particle_id,
            "sp_n_true_hits": event.n_true_hits,
        }
        particles = {
            column: event.particles[PARTICLES.member(column)]
            for column in PARTICLES.columns
        }
        for columns in (points, particles):
            require_one_length(event.event_id, columns)
        self._tables["sp_truth"].append(event.event_id, points)
        self._tables["particles"].append(event.event_id, particles)
