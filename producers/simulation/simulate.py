"""Simulated events, one by one, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from producers.simulation.config import SimulationConfig
from producers.simulation.event import GeneratedParticles, SimulatedEvent
from producers.simulation.generators import PythiaGenerator, read_hepmc3, shoot
from sonic_base import ConfigError

if TYPE_CHECKING:
    from producers.simulation.acts_steps import DetectorResponse

EVENTS_PER_SEQUENCE = 16  # setting up an ACTS sequence costs as much as a small event


def simulate(config: SimulationConfig) -> Iterator[SimulatedEvent]:
    """Yield `config.n_events` events, in order.

    Event `i` depends on `config.seed` and `i` only (and with HepMC3 files, on record
    `i`), so that a sample made in pieces (`first_event`) equals one made at once.

    Raises
    ------
    ConfigError
        If a package is not installed or a HepMC3 file does not exist or ends early.
    """
    try:
        from producers.simulation.detector import Detector  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise ConfigError(
            "simulation needs the package pyacts: "
            "pip install 'sonic-tracking[simulation]'"
        ) from exc
    generate = _generator(config)
    detector: Detector | None = None
    numbers = range(config.first_event, config.first_event + config.n_events)
    for start in range(0, config.n_events, EVENTS_PER_SEQUENCE):
        block = numbers[start : start + EVENTS_PER_SEQUENCE]
        generated = [generate(number) for number in block]
        # Made after the first particles, so that wrong settings are found at once.
        detector = detector or Detector(config.min_momentum_gev)
        responses = detector.respond(
            generated, first_event=block.start, seed=config.seed
        )
        for number, response in zip(block, responses, strict=True):
            yield _read_out(response, number, config)


def _event_rng(config: SimulationConfig, number: int, step: int) -> np.random.Generator:
    """Return the random numbers of one step of an event: 0 generation, 1 read-out."""
    return np.random.default_rng((config.seed, number, step))


def _generator(config: SimulationConfig) -> Callable[[int], GeneratedParticles]:
    if config.generator == "gun":
        return lambda number: shoot(config, _event_rng(config, number, 0))
    if config.generator == "pythia8":
        pythia = PythiaGenerator(config)
        return lambda number: pythia.draw(_event_rng(config, number, 0))
    records = islice(read_hepmc3(config.hepmc3_files), config.first_event, None)

    def next_record(number: int) -> GeneratedParticles:
        record = next(records, None)
        if record is None:
            raise ConfigError(
                f"the HepMC3 files end before event {number}: ask for fewer events"
            )
        return record

    return next_record


def _read_out(
    response: DetectorResponse, number: int, config: SimulationConfig
) -> SimulatedEvent:
    """Apply inefficiency and noise, shuffle, and keep the particles that left points.

    A noise point is a real one that is turned by a random angle around the beam and
    mirrored in z half of the time. This maps the detector's layers onto themselves, so
    that noise has the radial and longitudinal density of the event. It keeps the module
    ids of the real point.
    """
    rng = _event_rng(config, number, 1)
    n_hits = len(response.xyz)
    kept = np.flatnonzero(rng.random(n_hits) >= config.hit_inefficiency)
    n_noise = rng.poisson(config.noise_fraction * n_hits) if n_hits else 0
    seeds = rng.integers(0, n_hits, n_noise) if n_hits else np.empty(0, dtype=np.int64)

    xyz = np.concatenate((response.xyz[kept], _noise(response.xyz[seeds], rng)))
    module = np.concatenate((response.module[kept], response.module[seeds]))
    particle_id = np.concatenate(
        (response.particle_id[kept], np.zeros(n_noise, dtype=np.uint64))
    )
    n_true_hits = np.concatenate(
        (response.n_true_hits[kept], np.zeros(n_noise, dtype=np.int32))
    )
    order = rng.permutation(len(xyz))
    return SimulatedEvent(
        event_id=number,
        xyz=xyz[order].astype(np.float32),
        volume_id=module[order, 0],
        layer_id=module[order, 1],
        module_id=module[order, 2],
        particle_id=particle_id[order],
        n_true_hits=n_true_hits[order],
        particles=_with_hits(response.particles, particle_id),
    )


def _noise(xyz: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(-np.pi, np.pi, len(xyz))
    mirror = rng.choice((-1.0, 1.0), len(xyz))
    x, y, z = xyz.T
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack((x * cos - y * sin, x * sin + y * cos, z * mirror))


def _with_hits(
    particles: dict[str, NDArray[np.generic]], hit_particle: NDArray[np.uint64]
) -> dict[str, NDArray[np.generic]]:
    ids, counts = np.unique(hit_particle[hit_particle != 0], return_counts=True)
    by_id = np.argsort(particles["particle_id"])
    rows = by_id[np.searchsorted(particles["particle_id"], ids, sorter=by_id)]
    columns = {name: column[rows] for name, column in particles.items()}
    return {**columns, "nhits": counts.astype(np.int32)}
