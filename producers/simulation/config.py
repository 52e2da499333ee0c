"""The settings of a simulated sample; the same settings make the same events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from sonic_base import ConfigError, nearest_names

Generator = Literal["gun", "hepmc3", "pythia8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GunConfig:
    """Charged particles shot from the interaction point, one kind, flat in eta.

    Raises
    ------
    ConfigError
        If a range is empty or a count is not positive.
    """

    n_particles: int = 100
    """Particles per event."""

    pdg: int = 211
    """PDG id of the particle; its antiparticle is as frequent."""

    pt_gev: tuple[float, float] = (0.5, 10.0)
    """Range of transverse momentum in GeV, drawn flat in its logarithm."""

    eta: tuple[float, float] = (-3.0, 3.0)
    """Range of pseudorapidity, drawn flat."""

    def __post_init__(self) -> None:
        if self.n_particles < 1:
            raise ConfigError(f"n_particles must be positive, got {self.n_particles}")
        low, high = self.pt_gev
        if not 0.0 < low <= high:
            raise ConfigError(f"need 0 < low <= high in pt_gev, got {self.pt_gev} GeV")
        if not self.eta[0] <= self.eta[1]:
            raise ConfigError(f"need low <= high in eta, got {self.eta}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """The settings that decide a simulated sample; equal settings give equal events.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    n_events: int
    """Number of events."""

    seed: int = 1
    """Seed of the whole sample. Event `i` depends on `seed` and `i` only."""

    first_event: int = 0
    """Number of the first event, so that a sample can be made in pieces."""

    generator: Generator = "pythia8"
    """``pythia8`` (ttbar at 14 TeV), ``gun``, or ``hepmc3`` (from `hepmc3_files`)."""

    pileup: float = 0.0
    """Mean of the Poisson number of minimum-bias collisions added (Pythia 8 only)."""

    gun: GunConfig = field(default_factory=GunConfig)
    """Settings of the particle gun."""

    hepmc3_files: tuple[Path, ...] = ()
    """HepMC3 files (ASCII, also compressed) read in order, one record an event."""

    photons: bool = True
    """Whether photons are flown too (Pythia 8 only): in the material they convert to
    pairs of electrons, which leave one in eight space points of an event."""

    min_momentum_gev: float = 0.05
    """Particles of less momentum leave no hits. ACTS' own default is 0.5 GeV
    (``FatrasSimulation::Config::pMin``), without the soft particles: one in five of
    those that leave hits."""

    vertex_sigma_mm: tuple[float, float, float] = (0.0125, 0.0125, 55.5)
    """Gaussian spread of the collision points in x, y, z: ACTS' HL-LHC setting."""

    noise_fraction: float = 0.0
    """Number of space points on no particle, over the number on particles."""

    hit_inefficiency: float = 0.0
    """Probability that a space point is lost."""

    def __post_init__(self) -> None:
        if self.generator not in get_args(Generator):
            generators = nearest_names(self.generator, get_args(Generator))
            raise ConfigError(f"unknown generator {self.generator!r}, {generators}")
        if self.n_events < 1:
            raise ConfigError(f"n_events must be positive, got {self.n_events}")
        if self.first_event < 0:
            raise ConfigError(f"first_event must be >= 0, got {self.first_event}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed must be in [0, 2^31), got {self.seed}")
        if self.pileup < 0.0:
            raise ConfigError(f"pileup must be >= 0, got {self.pileup}")
        if self.pileup > 0.0 and self.generator != "pythia8":
            raise ConfigError(
                f"pileup needs the generator pythia8, got {self.generator!r}"
            )
        if not self.min_momentum_gev > 0.0:
            raise ConfigError(
                f"min_momentum_gev must be positive, got {self.min_momentum_gev}"
            )
        if self.noise_fraction < 0.0:
            raise ConfigError(f"noise_fraction must be >= 0, got {self.noise_fraction}")
        if not 0.0 <= self.hit_inefficiency < 1.0:
            raise ConfigError(
                f"hit_inefficiency must be in [0, 1), got {self.hit_inefficiency}"
            )
        if self.generator == "hepmc3" and not self.hepmc3_files:
            raise ConfigError(
                "generator hepmc3 needs at least one HepMC3 file (--hepmc3)"
            )
