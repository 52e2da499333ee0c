"""How track candidates are held against a helix: field, tolerances, what is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from exatrkx_pipeline.config.checks import require, require_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementConfig:
    """Candidates split, joined and extended along helices, and those that are kept.

    Off unless the weights' configuration has the table ``[pipeline.refinement]``.
    """

    field_t: float
    """Field along the beam, in tesla; it turns radii into momenta. No default."""

    min_pt_gev: float = 0.0
    """Candidates whose helix has a lower transverse momentum are dissolved."""

    min_space_points: int = 1
    """So are those of fewer points."""

    transverse_mm: float = 0.5
    """Largest distance of a point from its helix, across the field. Multiple
    scattering of 1 GeV over the tracker's radius is about as much."""

    longitudinal_mm: float = 3.0
    """And along the field, projected across the track: strips measure it to that."""

    reach_mm: float = 250.0
    """Farthest that a candidate is extended at once, in radius: one layer's gap."""

    join_reach_mm: float = 400.0
    """Farthest gap, in radius, across which two candidates are joined."""

    def __post_init__(self) -> None:
        for name in (
            "field_t",
            "transverse_mm",
            "longitudinal_mm",
            "reach_mm",
            "join_reach_mm",
        ):
            value = getattr(self, name)
            require(
                math.isfinite(value) and value > 0.0,
                f"{name} must be positive, got {value!r}",
            )
        require(
            math.isfinite(self.min_pt_gev) and self.min_pt_gev >= 0.0,
            f"min_pt_gev must not be negative, got {self.min_pt_gev!r}",
        )
        require_positive(self, "min_space_points")
