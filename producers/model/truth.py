"""The truth of one event: its particles, and the particle of each space point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Particles", "TruthEvent"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Particles:
    """The generated particles of one event; arrays of one length.

    Attributes
    ----------
    particle_id : ndarray, shape (n_particles,), uint64
    vertex_mm : ndarray, shape (n_particles, 3), float32
        Production vertex; NaN if the truth does not say.
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
    def vertex_or_origin_mm(self) -> NDArray[np.float32]:
        """Production vertex, or the origin where it is not known."""
        return np.nan_to_num(self.vertex_mm, nan=0.0)

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
        """Distance of the production vertex from the beam line; NaN if not known."""
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
