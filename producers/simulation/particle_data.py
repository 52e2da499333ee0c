"""Masses and charges, from the PDG tables that scikit-hep's `particle` carries."""

from __future__ import annotations

from sonic_base.errors import ConfigError

MEV_PER_GEV = 1000.0


def charge_of_pdg(pdg: int) -> float:
    """Charge in e of any PDG id, 0 where the numbering scheme gives none."""
    from particle import PDGID  # noqa: PLC0415 - extra `simulation`

    return float(PDGID(pdg).charge or 0.0)


def mass_of_pdg(pdg: int) -> float:
    """Mass in GeV.

    Raises
    ------
    ConfigError
        If the id is not in the tables, or they give no mass.
    """
    from particle import Particle, ParticleNotFound  # noqa: PLC0415

    try:
        mass_mev = Particle.from_pdgid(pdg).mass
    except ParticleNotFound as exc:
        raise ConfigError(f"no particle has the PDG id {pdg}") from exc
    if mass_mev is None:
        raise ConfigError(f"the particle with PDG id {pdg} has no known mass")
    return float(mass_mev) / MEV_PER_GEV
