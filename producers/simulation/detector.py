"""Particles through the generic detector: Fatras and digitisation by ACTS.

Imports `pyacts`; `producers.simulation.simulate` imports this module when needed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import acts
import acts.examples
import acts.examples.json

from producers.simulation.acts_steps import (
    MEASUREMENT_HITS,
    MEASUREMENTS,
    PARTICLES_IN,
    PARTICLES_OUT,
    SIM_HITS,
    DetectorResponse,
    HitCollector,
    ModulePlanes,
    ParticleSource,
)
from producers.simulation.event import GeneratedParticles

FIELD_TESLA = 2.0
QUIET = acts.logging.FATAL


class Detector:
    """ACTS' generic (TrackML) detector in a solenoid field of 2 T, with material.

    Building the geometry takes about a second; make one per process. Not picklable.

    Parameters
    ----------
    min_momentum_gev : float
        Particles of less momentum are not flown.
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
            file.write_text(json.dumps(_digitization_config()))
            self._readout = acts.examples.json.readDigiConfigFromJson(str(file))

    def respond(
        self, events: Sequence[GeneratedParticles], *, first_event: int, seed: int
    ) -> list[DetectorResponse]:
        """Simulate consecutive events, in order.

        ACTS seeds its random numbers with `seed` and the number of the event, so that
        the response to an event does not depend on the other events.
        """
        rnd = acts.examples.RandomNumbers(seed=seed)
        sequencer = acts.examples.Sequencer(
            events=len(events),
            skip=first_event,
            numThreads=1,
            logLevel=QUIET,
            trackFpes=False,
        )
        collector = HitCollector(self._planes, QUIET)
        sequencer.addReader(ParticleSource(events, first_event, QUIET))
        sequencer.addAlgorithm(self._fatras(rnd))
        sequencer.addAlgorithm(self._digitization(rnd))
        sequencer.addAlgorithm(collector)
        sequencer.run()
        return collector.events

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


@dataclass(frozen=True, slots=True)
class _Readout:
    """Segmentation of one kind of module, in mm.

    Pitches and thicknesses are those of the TrackML detector, which ACTS'
    ``GenericDetector`` is; source: acts-project/acts,
    ``Examples/Configs/generic-digi-geometric-config.json``.
    """

    volumes: tuple[int, ...]
    pitch_mm: tuple[float, float]
    thickness_mm: float


PIXEL = _Readout(volumes=(7, 8, 9), pitch_mm=(0.05, 0.05), thickness_mm=0.15)
SHORT_STRIP = _Readout(volumes=(12, 13, 14), pitch_mm=(0.08, 1.2), thickness_mm=0.25)
LONG_STRIP = _Readout(volumes=(16, 17, 18), pitch_mm=(0.12, 10.8), thickness_mm=0.25)
READOUTS = (PIXEL, SHORT_STRIP, LONG_STRIP)

# Larger than every module; the module's own bounds limit where particles cross it.
HALF_LENGTH_MM = 108.0
CHARGE_SMEARING = 0.01  # relative spread of the charge per channel, as in ACTS' file


def _digitization_config() -> dict[str, Any]:
    """Return the JSON document that ACTS' ``readDigiConfigFromJson`` takes.

    Charge is shared by the channels crossed, neighbours form a cluster, and its
    charge-weighted centre is measured.
    """
    entries = [
        {"volume": volume, "value": {"geometric": _geometric(readout)}}
        for readout in READOUTS
        for volume in readout.volumes
    ]
    return {
        "acts-geometry-hierarchy-map": {
            "format-version": 0,
            "value-identifier": "digitization-configuration",
        },
        "entries": entries,
    }


def _geometric(readout: _Readout) -> dict[str, Any]:
    axes = zip(("binX", "binY"), readout.pitch_mm, strict=True)
    return {
        "indices": [0, 1],
        "digital": False,
        "thickness": readout.thickness_mm,
        "threshold": 0.0,
        "charge-smearing": {"type": "Gauss", "mean": 0.0, "stddev": CHARGE_SMEARING},
        "segmentation": {
            "binningdata": [
                {
                    "value": axis,
                    "type": "equidistant",
                    "option": "open",
                    "bins": 2 * round(HALF_LENGTH_MM / pitch),
                    "min": -pitch * round(HALF_LENGTH_MM / pitch),
                    "max": pitch * round(HALF_LENGTH_MM / pitch),
                }
                for axis, pitch in axes
            ]
        },
    }
