"""The two records of the simulation: particles before and events after the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIMARY_VERTEX_BITS = 48
SECONDARY_VERTEX_BITS = 36
PARTICLE_BITS = 20
GENERATION_BITS = 12


def particle_ids(
    primary_vertex: NDArray[np.integer],
    secondary_vertex: NDArray[np.integer],
    particle: NDArray[np.integer],
    generation: NDArray[np.integer],
    sub_particle: NDArray[np.integer],
) -> NDArray[np.uint64]:
    """Return one 64-bit id per particle, packed from the numbers of ACTS' barcode.

    Widths from the highest bit: 16 (primary vertex), 12 (secondary vertex),
    16 (particle), 8 (generation), 12 (sub-particle). 0 means "on no particle";
    primary vertices count from 1, so no particle gets it.

    Raises
    ------
    ValueError
        If a number does not fit its field: two particles would share an id.
    """
    fields = (
        (primary_vertex, PRIMARY_VERTEX_BITS, 16),
        (secondary_vertex, SECONDARY_VERTEX_BITS, 12),
        (particle, PARTICLE_BITS, 16),
        (generation, GENERATION_BITS, 8),
        (sub_particle, 0, 12),
    )
    packed = np.zeros(np.shape(primary_vertex), dtype=np.uint64)
    for values, shift, width in fields:
        column = np.asarray(values, dtype=np.uint64)
        if column.size and int(column.max()) >= 1 << width:
            raise ValueError(f"barcode field needs {width} bits, got {column.max()}")
        packed |= column << np.uint64(shift)
    return packed


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedParticles:
    """Charged final-state particles of one event, before the detector.

    All arrays have the length ``n_particles``; zero particles are an event too.
    """

    pdg: NDArray[np.int32]
    """PDG ids."""

    charge: NDArray[np.float64]
    """Charges in e."""

    mass_gev: NDArray[np.float64]
    """Masses in GeV."""

    vertex_mm: NDArray[np.float64]
    """Production points, shape (n_particles, 3), in mm."""

    momentum_gev: NDArray[np.float64]
    """Momenta, shape (n_particles, 3), in GeV."""

    primary_vertex: NDArray[np.int64]
    """Number of the collision a particle comes from, from 1; 1 is the hard one."""

    def __len__(self) -> int:
        return len(self.pdg)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedEvent:
    """One event as the detector saw it, with the truth.

    Space points come in random order; do not rely on it.
    """

    event_id: int
    """Number of the event in its sample."""

    xyz: NDArray[np.float32]
    """Positions, shape (n_space_points, 3), in mm, beam along z."""

    volume_id: NDArray[np.int32]
    layer_id: NDArray[np.int32]
    module_id: NDArray[np.int32]

    particle_id: NDArray[np.uint64]
    """Particle of each space point, the one that left the most energy if there are
    several; 0 for noise."""

    n_true_hits: NDArray[np.int32]
    """Simulated hits merged into each space point; 0 for noise."""

    particles: dict[str, NDArray[np.generic]]
    """Particles that left at least one space point: columns ``particle_id`` (uint64),
    ``pdg``, ``vx, vy, vz`` (mm), ``px, py, pz`` (GeV), ``q`` (e), ``nhits`` (its space
    points in this event), ``primary_vertex``."""
