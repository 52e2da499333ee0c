"""Events of HepMC3 files, read with `pyhepmc`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from producers.simulation.event import GeneratedParticles
from producers.simulation.particle_data import charge_of_pdg
from sonic_base.errors import ConfigError

FINAL_STATE = 1  # HepMC3 status code of a particle that leaves the generator


def read_hepmc3(files: tuple[Path, ...]) -> Iterator[GeneratedParticles]:
    """Charged final-state particles, one item per record, files in order.

    Positions and momenta are converted to mm and GeV whatever the file's units.
    Every particle counts as coming from primary vertex 1: HepMC3 has no such number.

    Raises
    ------
    ConfigError
        If `pyhepmc` is not installed, or a file does not exist.
    """
    try:
        import pyhepmc  # noqa: PLC0415 - only where HepMC3 files are read
    except ImportError as exc:
        raise ConfigError(
            "HepMC3 files need the packages pyhepmc and particle: "
            "pip install 'sonic-tracking[simulation]'"
        ) from exc
    for file in files:
        if not file.is_file():
            raise ConfigError(f"HepMC3 file {file} does not exist")
    for file in files:
        with pyhepmc.open(str(file)) as records:
            for record in records:
                record.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
                yield _charged_final_state(record)


def _charged_final_state(record: Any) -> GeneratedParticles:
    table = record.numpy.particles
    charge_of = {pid: charge_of_pdg(pid) for pid in np.unique(table.pid).tolist()}
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
