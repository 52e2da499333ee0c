"""Which particles the networks are to find, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.errors import PipelineConfigError

TINY_GEV = 1e-6  # full weight from zero on: any momentum is far above


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Particles by transverse momentum: background, of some, or of full weight.

    At high pileup nearly all space points are of soft particles. A network that need
    not find them keeps smaller graphs; one that may keep half of them makes fakes. So
    soft ones are background in earnest: their edges are false, and count.
    """

    min_pt_gev: float = 0.0
    """Edges of softer particles are false."""

    full_pt_gev: float = 0.5
    """Edges of harder particles have full weight."""

    partial_weight: float = 0.25
    """Weight of those in between, relative to full weight; 0 leaves them out."""

    pt_power: float = 0.0
    """Above `full_pt_gev` the weight grows as this power of the momentum: hard
    particles are few, and fly in the dense cores of jets."""

    max_weight: float = 3.0
    """Up to this, relative to full weight."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_pt_gev <= self.full_pt_gev:
            raise PipelineConfigError(
                "need 0 <= min_pt_gev <= full_pt_gev, "
                f"got {self.min_pt_gev} and {self.full_pt_gev} GeV"
            )
        if not 0.0 <= self.partial_weight <= 1.0:
            raise PipelineConfigError(
                f"partial_weight must be in [0, 1], got {self.partial_weight}"
            )
        if self.pt_power > 0.0 and self.full_pt_gev == 0.0:
            raise PipelineConfigError("pt_power needs a full_pt_gev above 0")
        if not (self.pt_power >= 0.0 and self.max_weight >= 1.0):
            raise PipelineConfigError(
                "need pt_power >= 0 and max_weight >= 1, "
                f"got {self.pt_power} and {self.max_weight}"
            )

    def include(self, pt_gev: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether particles of these momenta are to be found."""
        return pt_gev >= self.min_pt_gev

    def weights(self, pt_gev: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much each true edge counts, 0 for those of background particles."""
        weight = np.full(len(pt_gev), self.partial_weight)
        full = pt_gev > self.full_pt_gev
        excess = pt_gev[full] / max(self.full_pt_gev, TINY_GEV)
        weight[full] = np.minimum(excess**self.pt_power, self.max_weight)
        return np.where(self.include(pt_gev), weight, 0.0).astype(np.float32)
