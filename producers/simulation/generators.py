"""Particles before the detector: a gun, HepMC3 files, or Pythia 8 with pileup.

Each package is imported when its events are asked for. `pythia8mc` is GPL and in the
opt-in extra ``generators``; `particle` carries the PDG's masses and charges.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from producers.model.types import Untyped
from producers.simulation.config import SimulationConfig
from producers.simulation.event import GeneratedParticles
from sonic_base import ConfigError, decoding

__all__ = ["PythiaGenerator", "read_hepmc3", "shoot"]

MEV_PER_GEV = 1000.0
FINAL_STATE = 1  # HepMC3 status code of a particle that leaves the generator
HARD_PROCESS = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
PILEUP_PROCESS = ("SoftQCD:all = on",)
# Only particles that decay inside the tracker are decayed here; the detector simulation
# flies those that live longer.
DECAYS = (
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 1050",
    "ParticleDecays:zMax = 3000",
)
PHOTON = 22  # PDG
MAX_SEED = 900_000_000  # Pythia's own upper limit


def shoot(config: SimulationConfig, rng: np.random.Generator) -> GeneratedParticles:
    """Return the particles of one gun event: flat in log pT, eta and phi.

    Raises
    ------
    ConfigError
        If the PDG id is unknown or that of a neutral particle.
    """
    gun = config.gun
    n, charge = gun.n_particles, _charge(gun.pdg)
    if charge == 0.0:
        raise ConfigError(f"gun particles must be charged, got PDG id {gun.pdg}")
    low, high = np.log(gun.pt_gev)
    pt = np.exp(rng.uniform(float(low), float(high), n))
    eta, phi = rng.uniform(*gun.eta, n), rng.uniform(-np.pi, np.pi, n)
    sign = rng.choice((-1, 1), n)
    return GeneratedParticles(
        pdg=(sign * gun.pdg).astype(np.int32),
        charge=sign * charge,
        mass_gev=np.full(n, _mass(gun.pdg)),
        vertex_mm=np.tile(rng.normal(0.0, config.vertex_sigma_mm), (n, 1)),
        momentum_gev=np.column_stack(
            (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta))
        ),
        primary_vertex=np.ones(n, dtype=np.int64),
    )


def read_hepmc3(files: tuple[Path, ...]) -> Iterator[GeneratedParticles]:
    """Yield the charged final-state particles of each record, files in order.

    Positions and momenta are converted to mm and GeV whatever the file's units.
    Every particle counts as coming from primary vertex 1: HepMC3 has no such number.

    Raises
    ------
    ConfigError
        If `pyhepmc` is not installed, or a file does not exist or is damaged.
    """
    try:
        import pyhepmc  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise ConfigError(
            "HepMC3 files need the packages pyhepmc and particle: "
            "pip install 'sonic-tracking[simulation]'"
        ) from exc
    for file in files:
        if not file.is_file():
            raise ConfigError(f"HepMC3 file {file} does not exist")
    for file in files:
        # Named, because the readers of other formats end the process on damaged files.
        form = _hepmc_format(file)
        if form == "HepMC3":
            _check_references(file)
        with _reading(file):
            opened = pyhepmc.open(str(file), format=form)
        with opened as records:
            iterator = iter(records)
            while True:
                with _reading(file):
                    record = next(iterator, None)
                    if record is not None:
                        record.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
                if record is None:
                    break
                yield _charged_final_state(record)


def _reading(file: Path) -> AbstractContextManager[None]:
    return decoding(
        lambda reason: ConfigError(f"{file}: damaged HepMC3 file: {reason}")
    )


def _open_text(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _check_references(file: Path) -> None:
    """Refuse a HepMC3 file with a reference to a particle or vertex that is not there.

    HepMC3's own reader uses such a number as an index, and ends the process. Lines
    are ``E event vertices particles``, ``P particle parent ...`` with a vertex as a
    negative parent, and ``V vertex status [particle,...]``.
    """
    n_vertices = n_particles = 0
    with _reading(file), _open_text(file) as stream:
        for number, line in enumerate(stream, start=1):
            kind, references = line[:2], []
            if kind == b"E ":
                n_vertices, n_particles = map(int, line.split()[2:4])
            elif kind == b"P ":
                references = line.split()[1:3]
            elif kind == b"V ":
                own, _, rest = line[2:].partition(b" ")
                listed = rest.partition(b"[")[2].partition(b"]")[0]
                references = [own, *filter(None, listed.split(b","))]
            for each in references:
                if not -n_vertices <= int(each) <= n_particles:
                    raise ConfigError(
                        f"{file}: damaged HepMC3 file: line {number} names "
                        f"{each.decode()!r} in an event of {n_vertices} vertices and "
                        f"{n_particles} particles"
                    )


def _hepmc_format(file: Path) -> str:
    """Return HepMC3 or HepMC2, from the first lines of a file."""
    with _reading(file), _open_text(file) as stream:
        start = stream.read(4096)
    for mark, form in ((b"HepMC::Asciiv3", "HepMC3"), (b"HepMC::IO_Gen", "HepMC2")):
        if mark in start:
            return form
    raise ConfigError(f"{file}: not a HepMC3 file")


def _charged_final_state(record: Untyped) -> GeneratedParticles:
    table = record.numpy.particles
    charge_of = {pid: _charge(pid) for pid in np.unique(table.pid).tolist()}
    charge = np.array([charge_of[pid] for pid in table.pid.tolist()], dtype=np.float64)
    chosen = np.flatnonzero((table.status == FINAL_STATE) & (charge != 0.0))
    vertices = [record.particles[i].production_vertex for i in chosen.tolist()]
    positions = [
        (v.position.x, v.position.y, v.position.z) if v else (0.0, 0.0, 0.0)
        for v in vertices
    ]
    return GeneratedParticles(
        pdg=table.pid[chosen].astype(np.int32),
        charge=charge[chosen],
        mass_gev=table.generated_mass[chosen].astype(np.float64),
        vertex_mm=np.array(positions, dtype=np.float64).reshape(-1, 3),
        momentum_gev=np.column_stack((table.px, table.py, table.pz))[chosen],
        primary_vertex=np.ones(len(chosen), dtype=np.int64),
    )


class PythiaGenerator:
    """Draws ttbar collisions at 14 TeV with minimum-bias pileup.

    An event does not depend on those drawn before it. Not thread-safe and not
    picklable: make one per process.

    Raises
    ------
    ConfigError
        If `pythia8mc` is not installed.
    """

    def __init__(self, config: SimulationConfig) -> None:
        try:
            import pythia8mc  # noqa: PLC0415 - an extra, and GPL
        except ImportError as exc:
            raise ConfigError(
                "generator pythia8 needs the package pythia8mc (GPL): "
                "pip install 'sonic-tracking[generators]', or simulate single pions "
                "with generator gun"
            ) from exc
        self._config = config
        self._module = pythia8mc
        self._hard = self._collider(HARD_PROCESS)
        self._soft = self._collider(PILEUP_PROCESS) if config.pileup > 0.0 else None

    def _collider(self, process: tuple[str, ...]) -> Untyped:
        pythia = self._module.Pythia("", False)
        for line in ("Print:quiet = on", "Beams:eCM = 14000.", *DECAYS, *process):
            if not pythia.readString(line):
                raise ConfigError(f"Pythia refuses the setting {line!r}")
        if not pythia.init():
            raise ConfigError("Pythia failed to initialise")
        return pythia

    def draw(self, rng: np.random.Generator) -> GeneratedParticles:
        """Return the particles of one hard collision and its pileup."""
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

    def _collide(
        self, pythia: Untyped, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        # Seeded anew for each event, so that a sample made by several processes, or in
        # part, is the same.
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


def _charge(pdg: int) -> float:
    """Return the charge in e of any PDG id, 0 where the numbering scheme has none."""
    from particle import PDGID  # noqa: PLC0415 - an extra

    return float(PDGID(pdg).charge or 0.0)


def _mass(pdg: int) -> float:
    """Return the mass in GeV.

    Raises
    ------
    ConfigError
        If the id is not in the tables, or they give no mass.
    """
    from particle import Particle, ParticleNotFound  # noqa: PLC0415 - an extra

    try:
        mass_mev = Particle.from_pdgid(pdg).mass
    except ParticleNotFound as exc:
        raise ConfigError(f"no particle has the PDG id {pdg}") from exc
    if mass_mev is None:
        raise ConfigError(f"the particle with PDG id {pdg} has no known mass")
    return float(mass_mev) / MEV_PER_GEV
