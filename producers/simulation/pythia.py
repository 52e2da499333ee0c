"""Physics events from Pythia 8: ttbar at 14 TeV with minimum-bias pileup.

`pythia8mc` is GPL: it is in the opt-in extra ``generators`` and imported only here,
when such events are asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from producers.simulation.config import SimulationConfig
from producers.simulation.event import GeneratedParticles
from sonic_base.errors import ConfigError

HARD_PROCESS = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
PILEUP_PROCESS = ("SoftQCD:all = on",)
# Only what decays inside the tracker is decayed; what lives longer is the detector
# simulation's to fly.
DECAYS = (
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 1050",
    "ParticleDecays:zMax = 3000",
)
PHOTON = 22  # PDG
MAX_SEED = 900_000_000  # Pythia's own upper limit


class PythiaGenerator:
    """Draws collisions; event `i` is the same whatever was drawn before it.

    Not thread-safe and not picklable: make one per process.

    Raises
    ------
    ConfigError
        If `pythia8mc` is not installed.
    """

    def __init__(self, config: SimulationConfig) -> None:
        try:
            import pythia8mc  # noqa: PLC0415 - GPL, and only where asked for
        except ImportError as exc:
            raise ConfigError(
                "generator pythia8 needs the package pythia8mc (GPL): "
                "pip install 'sonic-tracking[generators]'"
            ) from exc
        self._config = config
        self._module = pythia8mc
        self._hard = self._collider(HARD_PROCESS)
        self._soft = self._collider(PILEUP_PROCESS) if config.pileup > 0.0 else None

    def _collider(self, process: tuple[str, ...]) -> Any:
        pythia = self._module.Pythia("", False)
        for line in ("Print:quiet = on", "Beams:eCM = 14000.", *DECAYS, *process):
            if not pythia.readString(line):
                raise ConfigError(f"Pythia refuses the setting {line!r}")
        if not pythia.init():
            raise ConfigError("Pythia failed to initialise")
        return pythia

    def draw(self, rng: np.random.Generator) -> GeneratedParticles:
        """Charged particles and photons of one hard collision and its pileup."""
        n_pileup = int(rng.poisson(self._config.pileup)) if self._soft else 0
        collisions = [self._collide(self._hard, rng)]
        collisions += [self._collide(self._soft, rng) for _ in range(n_pileup)]
        sigma = self._config.vertex_sigma_mm
        for rows in collisions:
            rows[:, 3:6] += rng.normal(0.0, sigma)
        table = np.concatenate(collisions)
        return GeneratedParticles(
            pdg=table[:, 0].astype(np.int32),
            charge=table[:, 1],
            mass_gev=table[:, 2],
            vertex_mm=table[:, 3:6],
            momentum_gev=table[:, 6:9],
            primary_vertex=np.repeat(
                np.arange(1, len(collisions) + 1), [len(rows) for rows in collisions]
            ),
        )

    def _collide(self, pythia: Any, rng: np.random.Generator) -> np.ndarray:
        # Reseeding makes an event independent of its predecessors, so that a sample can
        # be made by several processes, or in part, with the same result.
        pythia.rndm.init(int(rng.integers(1, MAX_SEED)))
        while not pythia.next():  # a failed collision is drawn again, as Pythia advises
            pass
        with_photons = self._config.photons
        rows = [
            (
                p.id(),
                p.charge(),
                p.m(),
                p.xProd(),
                p.yProd(),
                p.zProd(),
                p.px(),
                p.py(),
                p.pz(),
            )
            for p in pythia.event
            if p.isFinal() and (p.isCharged() or (with_photons and p.id() == PHOTON))
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 9)
