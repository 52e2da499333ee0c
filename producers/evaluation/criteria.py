"""The particles and candidates that an evaluation counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from producers.model.truth import Particles
from sonic_base import ConfigError

__all__ = ["Criteria", "Variable"]

Variable: TypeAlias = Literal["pt_gev", "eta", "production_radius_mm"]


MAX_DISPLACED_RADIUS_MM = 300.0
"""Particles produced further out leave too few space points to be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Cuts on particles (fiducial: charged, and all of these) and on candidates.

    Raises
    ------
    ConfigError
        If a cut can be passed by nothing.
    """

    min_pt_gev: float = 1.0
    """Transverse momentum above this."""

    max_abs_eta: float = 2.5
    """Absolute pseudorapidity below this."""

    max_production_radius_mm: float = 10.0
    """Distance of the production from the beam line below this."""

    min_production_radius_mm: float = 0.0
    """Distance of the production from the beam line at least this."""

    min_particle_space_points: int = 7
    """At least this many space points in the event."""

    min_candidate_space_points: int = 5
    """Smaller candidates count neither as found nor as fake."""

    def __post_init__(self) -> None:
        for name in ("max_abs_eta", "max_production_radius_mm"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")

    def displaced(self) -> Criteria:
        """Return the same cuts for particles produced beyond the largest radius."""
        return replace(
            self,
            min_production_radius_mm=self.max_production_radius_mm,
            max_production_radius_mm=max(
                MAX_DISPLACED_RADIUS_MM, self.max_production_radius_mm
            ),
        )

    def passes(
        self,
        particles: Particles,
        n_points: NDArray[np.int64],
        *,
        but: Variable | None = None,
        min_space_points: int | None = None,
    ) -> NDArray[np.bool_]:
        """Return which particles are fiducial.

        Parameters
        ----------
        particles : Particles
        n_points : ndarray, shape (n_particles,), int64
            Space points of each in the event.
        but : {"pt_gev", "eta", "production_radius_mm"}, optional
            Leave this cut out, to show the dependence on the variable.
        min_space_points : int, optional
            Instead of `min_particle_space_points`.
        """
        least = self.min_particle_space_points
        least = least if min_space_points is None else min_space_points
        passes: NDArray[np.bool_] = n_points >= least
        passes &= (particles.particle_id != 0) & (particles.charge != 0)
        if but != "pt_gev":
            passes &= particles.pt_gev > self.min_pt_gev
        if but != "eta":
            passes &= np.abs(particles.eta) < self.max_abs_eta
        if but != "production_radius_mm":
            radius_mm = particles.production_radius_mm
            # Particles of truth without vertices count wherever they were produced,
            # but not as displaced ones.
            is_unknown = np.isnan(radius_mm)
            passes &= is_unknown | (radius_mm < self.max_production_radius_mm)
            if self.min_production_radius_mm > 0.0:
                passes &= radius_mm >= self.min_production_radius_mm
        return passes

    def __str__(self) -> str:
        return (
            f"charged, pT > {self.min_pt_gev:g} GeV, |eta| < {self.max_abs_eta:g}, "
            f"at least {self.min_particle_space_points} space points, produced "
            f"{self.region} of the beam line"
        )

    @property
    def region(self) -> str:
        """Distances from the beam line, in words."""
        most = f"within {self.max_production_radius_mm:g} mm"
        least = self.min_production_radius_mm
        return f"beyond {least:g} mm and {most}" if least else most
