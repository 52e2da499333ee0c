"""Which particles the networks are to find, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.errors import PipelineConfigError


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

    def include(self, pt_gev: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether particles of these momenta are to be found."""
        return pt_gev >= self.min_pt_gev

    def weights(self, pt_gev: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much each true edge counts, 0 for those of background particles."""
        weight = np.where(pt_gev > self.full_pt_gev, 1.0, self.partial_weight)
        return np.where(self.include(pt_gev), weight, 0.0).astype(np.float32)
