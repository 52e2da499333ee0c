"""Particle gun: charged particles from a smeared interaction point."""

from __future__ import annotations

import numpy as np

from producers.simulation.config import SimulationConfig
from producers.simulation.event import GeneratedParticles
from producers.simulation.particle_data import charge_of_pdg, mass_of_pdg
from sonic_base.errors import ConfigError


def shoot(config: SimulationConfig, rng: np.random.Generator) -> GeneratedParticles:
    """Particles of one gun event: flat in log pT, eta and phi, both charges.

    Raises
    ------
    ConfigError
        If the PDG id is unknown or that of a neutral particle.
    """
    gun = config.gun
    n, charge = gun.n_particles, charge_of_pdg(gun.pdg)
    if charge == 0.0:
        raise ConfigError(f"gun particles must be charged, got PDG id {gun.pdg}")
    low, high = np.log(gun.pt_gev)
    pt = np.exp(rng.uniform(float(low), float(high), n))
    eta, phi = rng.uniform(*gun.eta, n), rng.uniform(-np.pi, np.pi, n)
    sign = rng.choice((-1, 1), n)
    return GeneratedParticles(
        pdg=(sign * gun.pdg).astype(np.int32),
        charge=sign * charge,
        mass_gev=np.full(n, mass_of_pdg(gun.pdg)),
        vertex_mm=np.tile(rng.normal(0.0, config.vertex_sigma_mm), (n, 1)),
        momentum_gev=np.column_stack(
            (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta))
        ),
        primary_vertex=np.ones(n, dtype=np.int64),
    )
