"""The truth of one event: its particles, and the particle of each space point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.errors import SchemaError
from producers.readers.location import Location

__all__ = ["Particles", "TruthEvent", "as_particle_ids", "packed", "shared_particle"]


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

    def rows(self, start: int, stop: int) -> Particles:
        """Return some of the particles; views."""
        return Particles(
            particle_id=self.particle_id[start:stop],
            vertex_mm=self.vertex_mm[start:stop],
            momentum_gev=self.momentum_gev[start:stop],
            charge=self.charge[start:stop],
        )

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
    weight : ndarray, shape (n_space_points,), float64, or None
        How much each space point counts in the TrackML score, where the files say so.
    """

    event_id: int
    particle_id: NDArray[np.uint64]
    particles: Particles
    weight: NDArray[np.float64] | None = None


# Any: numbers of any type.
def as_particle_ids(path: Location, values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the ids of particles as uint64.

    Raises
    ------
    SchemaError
        If they are floating point, in which ids above 2^53 are no longer distinct.
    """
    if values.dtype.kind not in "iu":
        raise SchemaError(path, "particle ids must be integers, got floating point")
    return values.astype(np.uint64, copy=False)


# Any: integers of any width.
def packed(
    path: Location, parts: Sequence[NDArray[Any]], bits: Sequence[int]
) -> NDArray[np.uint64]:
    """Return one number for several, the first in the highest bits.

    Raises
    ------
    SchemaError
        If a number does not fit its bits.
    """
    result = np.zeros(len(parts[0]), dtype=np.uint64)
    for values, width in zip(parts, bits, strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < 1 << width:
            raise SchemaError(
                path, f"part of a particle's id: {values.max()} is not of {width} bits"
            )
        result = (result << np.uint64(width)) | values.astype(np.uint64)
    return result


def shared_particle(
    first: Sequence[NDArray[np.uint64]], second: Sequence[NDArray[np.uint64] | None]
) -> NDArray[np.uint64]:
    """Return the particle of each space point, from those of its measurements.

    Parameters
    ----------
    first, second : sequence of ndarray
        Particles of the one and the other measurement, of every space point; None
        where there is no other one.

    Returns
    -------
    ndarray, shape (n_space_points,), uint64
        The first particle that all measurements have; 0 if there is none, as of two
        strips that different particles crossed.
    """
    found = np.zeros(len(first), dtype=np.uint64)
    for row, (own, other) in enumerate(zip(first, second, strict=True)):
        common = own if other is None else own[np.isin(own, other)]
        if len(common):
            found[row] = common[0]
    return found
