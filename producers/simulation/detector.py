"""Particles through the generic detector: Fatras and digitisation, by ACTS itself.

Imports `pyacts`; `producers.simulation.simulate` imports this module when it is needed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import acts
import acts.examples
import acts.examples.json
import numpy as np
from numpy.typing import NDArray

from producers.simulation.acts_steps import (
    MEASUREMENT_HITS,
    MEASUREMENTS,
    PARTICLES_IN,
    PARTICLES_OUT,
    SIM_HITS,
    HitCollector,
    ParticleSource,
    RawEvent,
)
from producers.simulation.digitization import digitization_config
from producers.simulation.event import GeneratedParticles

FIELD_TESLA = 2.0
QUIET = acts.logging.FATAL


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorResponse:
    """What one event left in the detector, before noise and inefficiency."""

    xyz: NDArray[np.float64]
    """Space points, shape (n_space_points, 3), in mm."""

    module: NDArray[np.int32]
    """Volume, layer and module of each, shape (n_space_points, 3)."""

    particle_id: NDArray[np.uint64]
    """Particle that left the most energy in each."""

    n_true_hits: NDArray[np.int32]
    """Simulated hits in each."""

    particles: dict[str, NDArray[np.generic]]
    """Columns of every simulated particle, whether it left hits or not."""


class Detector:
    """ACTS' generic (TrackML) detector in a solenoid field of 2 T, with material.

    Building the geometry takes about a second; make one per process. Not picklable.

    Parameters
    ----------
    min_momentum_gev : float
        Particles of less are not flown.
    """

    def __init__(self, min_momentum_gev: float) -> None:
        self._min_momentum_gev = min_momentum_gev
        self._detector = acts.examples.GenericDetector(logLevel=QUIET)
        self._geometry = self._detector.trackingGeometry()
        self._field = acts.ConstantBField(
            acts.Vector3(0.0, 0.0, FIELD_TESLA * acts.UnitConstants.T)
        )
        self._surfaces = self._geometry.geoIdSurfaceMap()
        self._planes = ModulePlanes.of(self._surfaces)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "digitization.json")
            file.write_text(json.dumps(digitization_config()))
            self._readout = acts.examples.json.readDigiConfigFromJson(str(file))

    def respond(
        self, events: Sequence[GeneratedParticles], *, first_event: int, seed: int
    ) -> list[DetectorResponse]:
        """Simulate consecutive events, in order.

        ACTS seeds its random numbers with `seed` and the number of the event, so the
        response to event `i` does not depend on which events go along with it.
        """
        rnd = acts.examples.RandomNumbers(seed=seed)
        sequencer = acts.examples.Sequencer(
            events=len(events),
            skip=first_event,
            numThreads=1,
            logLevel=QUIET,
            trackFpes=False,
        )
        collector = HitCollector(QUIET)
        sequencer.addReader(ParticleSource(events, first_event, QUIET))
        sequencer.addAlgorithm(self._fatras(rnd))
        sequencer.addAlgorithm(self._digitization(rnd))
        sequencer.addAlgorithm(collector)
        sequencer.run()
        return [self._response(raw) for raw in collector.events]

    def _fatras(self, rnd: acts.examples.RandomNumbers) -> acts.examples.IAlgorithm:
        return acts.examples.FatrasSimulation(
            level=QUIET,
            inputParticles=PARTICLES_IN,
            outputParticles=PARTICLES_OUT,
            outputSimHits=SIM_HITS,
            randomNumbers=rnd,
            trackingGeometry=self._geometry,
            magneticField=self._field,
            generateHitsOnSensitive=True,
            emScattering=True,
            emEnergyLossIonisation=True,
            emEnergyLossRadiation=True,
            emPhotonConversion=True,
            pMin=self._min_momentum_gev * acts.UnitConstants.GeV,
        )

    def _digitization(
        self, rnd: acts.examples.RandomNumbers
    ) -> acts.examples.IAlgorithm:
        config = acts.examples.DigitizationAlgorithm.Config(
            digitizationConfigs=self._readout,
            surfaceByIdentifier=self._surfaces,
            randomNumbers=rnd,
            inputSimHits=SIM_HITS,
            outputMeasurements=MEASUREMENTS,
            outputMeasurementParticlesMap="measurement_particles_map",
            outputMeasurementSimHitsMap=MEASUREMENT_HITS,
            outputParticleMeasurementsMap="particle_measurements_map",
            outputSimHitMeasurementsMap="simhit_measurements_map",
            doMerge=True,
        )
        return acts.examples.DigitizationAlgorithm(config, QUIET)

    def _response(self, raw: RawEvent) -> DetectorResponse:
        rows = self._planes.rows(raw.geometry_id)
        return DetectorResponse(
            xyz=self._planes.to_global(rows, raw.local_mm),
            module=self._planes.module[rows],
            particle_id=raw.particle_id,
            n_true_hits=raw.n_true_hits,
            particles=raw.particles,
        )


@dataclass(frozen=True, slots=True)
class ModulePlanes:
    """Every module's plane: turns all local measurements of an event into points."""

    geometry_id: NDArray[np.uint64]  #: sorted
    module: NDArray[np.int32]  #: (n_modules, 3): volume, layer, module
    centre: NDArray[np.float64]  #: (n_modules, 3), mm
    axes: NDArray[np.float64]  #: (n_modules, 2, 3): the two local directions

    @classmethod
    def of(cls, surfaces: dict[acts.GeometryIdentifier, acts.Surface]) -> ModulePlanes:
        """Read the planes from the geometry, once."""
        context = acts.GeometryContext.dangerouslyDefaultConstruct()
        ids, modules, points = [], [], []
        normal = acts.Vector3(0.0, 0.0, 1.0)  # planes ignore the direction
        corners = [
            acts.Vector2(0.0, 0.0),
            acts.Vector2(1.0, 0.0),
            acts.Vector2(0.0, 1.0),
        ]
        for identifier, surface in surfaces.items():
            if identifier.sensitive == 0:  # passive layers and boundaries
                continue
            ids.append(identifier.value)
            modules.append((identifier.volume, identifier.layer, identifier.sensitive))
            points.append(
                [tuple(surface.localToGlobal(context, c, normal)) for c in corners]
            )
        order = np.argsort(np.array(ids, dtype=np.uint64))
        xyz = np.array(points)[order]
        return cls(
            geometry_id=np.array(ids, dtype=np.uint64)[order],
            module=np.array(modules, dtype=np.int32)[order],
            centre=xyz[:, 0],
            axes=xyz[:, 1:] - xyz[:, :1],
        )

    def rows(self, geometry_id: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Row of each module."""
        return np.searchsorted(self.geometry_id, geometry_id)

    def to_global(
        self, rows: NDArray[np.intp], local_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Global positions, shape (n, 3), of local ones, shape (n, 2), both in mm."""
        offset = np.einsum("na,nax->nx", local_mm, self.axes[rows])
        points: NDArray[np.float64] = self.centre[rows] + offset
        return points
