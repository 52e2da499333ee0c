"""Two steps in an ACTS sequence: one feeds particles, one collects hits, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import acts
import acts.examples
import numpy as np
from numpy.typing import NDArray

from producers.simulation.event import GeneratedParticles, particle_ids

PARTICLES_IN = "particles_generated"
PARTICLES_OUT = "particles_simulated"
SIM_HITS = "simhits"
MEASUREMENTS = "measurements"
MEASUREMENT_HITS = "measurement_simhits_map"

MAX_R_MM, MAX_Z_MM = 1026.0, 2990.0
"""Particles produced beyond the last layers (r 1020, |z| 2955 mm) leave no hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorResponse:
    """The space points of one event, before noise and inefficiency."""

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


@dataclass(frozen=True, slots=True)
class ModulePlanes:
    """The planes of all modules, which turn local measurements into points."""

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
        """Return the row of each module."""
        return np.searchsorted(self.geometry_id, geometry_id)

    def to_global(
        self, rows: NDArray[np.intp], local_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return global positions, shape (n, 3), of local ones, shape (n, 2), in mm."""
        offset = np.einsum("na,nax->nx", local_mm, self.axes[rows])
        points: NDArray[np.float64] = self.centre[rows] + offset
        return points


class ParticleSource(acts.examples.IReader):  # type: ignore[misc]  # pyacts is untyped
    """Feeds generated particles to Fatras; event `first_event + i` is `events[i]`."""

    def __init__(
        self,
        events: Sequence[GeneratedParticles],
        first_event: int,
        level: acts.logging.Level,
    ) -> None:
        super().__init__("ParticleSource", level)
        self._events, self._first_event = events, first_event
        self._particles = acts.examples.WriteDataHandle(
            self, acts.examples.SimParticleContainer, "Particles"
        )
        self._particles.initialize(PARTICLES_IN)

    def availableEvents(self) -> tuple[int, int]:
        """Return the range of event numbers, the end excluded; ACTS reads from 0."""
        return 0, self._first_event + len(self._events)

    def read(
        self, context: acts.examples.AlgorithmContext
    ) -> acts.examples.ProcessCode:
        """Put one event's particles on the board."""
        event = self._events[context.eventNumber - self._first_event]
        container = acts.examples.SimParticleContainer()
        rows = zip(
            event.primary_vertex.tolist(),
            event.pdg.tolist(),
            event.charge.tolist(),
            event.mass_gev.tolist(),
            event.vertex_mm.tolist(),
            event.momentum_gev.tolist(),
            strict=True,
        )
        unit = acts.UnitConstants
        for number, (vertex, pdg, charge, mass, position, momentum) in enumerate(
            rows, 1
        ):
            if not _in_tracker(position):
                continue
            barcode = acts.examples.SimBarcode()
            barcode.vertexPrimary, barcode.particle = vertex, number
            particle = acts.examples.SimParticle(
                barcode, acts.PdgParticle(pdg), charge * unit.e, mass * unit.GeV
            )
            particle.fourPosition = acts.Vector4(*(unit.mm * x for x in position), 0.0)
            particle.direction = acts.Vector3(*momentum)  # normalised by ACTS
            particle.absoluteMomentum = float(np.linalg.norm(momentum)) * unit.GeV
            container.insert(particle)
        self._particles(context, container)
        return acts.examples.ProcessCode.SUCCESS


def _in_tracker(position_mm: list[float]) -> bool:
    """Whether a production point lies inside the detector; ACTS refuses others."""
    x, y, z = position_mm
    return float(np.hypot(x, y)) < MAX_R_MM and abs(z) < MAX_Z_MM


class HitCollector(acts.examples.IAlgorithm):  # type: ignore[misc]  # pyacts is untyped
    """Turns measurements and particles of each event into arrays (`events`)."""

    def __init__(self, planes: ModulePlanes, level: acts.logging.Level) -> None:
        super().__init__("HitCollector", level)
        ex = acts.examples
        self.events: list[DetectorResponse] = []
        self._planes = planes
        self._particles = ex.ReadDataHandle(self, ex.SimParticleContainer, "Particles")
        self._hits = ex.ReadDataHandle(self, ex.SimHitContainer, "Hits")
        self._measurements = ex.ReadDataHandle(
            self, ex.MeasurementContainer, "Measurements"
        )
        self._origin = ex.ReadDataHandle(self, ex.MeasurementSimHitsMap, "Origin")
        self._particles.initialize(PARTICLES_OUT)
        self._hits.initialize(SIM_HITS)
        self._measurements.initialize(MEASUREMENTS)
        self._origin.initialize(MEASUREMENT_HITS)

    def execute(
        self, context: acts.examples.AlgorithmContext
    ) -> acts.examples.ProcessCode:
        """Collect one event."""
        store = context.eventStore
        hits = [
            (_barcode(hit.particleId), hit.depositedEnergy) for hit in self._hits(store)
        ]
        hit_particle = _pack([barcode for barcode, _ in hits])
        hit_energy = np.array([energy for _, energy in hits], dtype=np.float64)

        origin = self._origin(store)
        geometry, local, particle, n_hits = [], [], [], []
        for measurement in self._measurements(store):
            sources = origin.valuesFor(measurement.index)
            parameters = measurement.fullParameters
            geometry.append(measurement.geometryId.value)
            local.append((parameters[0], parameters[1]))
            particle.append(hit_particle[max(sources, key=hit_energy.__getitem__)])
            n_hits.append(len(sources))
        rows = self._planes.rows(np.array(geometry, dtype=np.uint64))
        local_mm = np.array(local, dtype=np.float64).reshape(-1, 2)
        self.events.append(
            DetectorResponse(
                xyz=self._planes.to_global(rows, local_mm),
                module=self._planes.module[rows],
                particle_id=np.array(particle, dtype=np.uint64),
                n_true_hits=np.array(n_hits, dtype=np.int32),
                particles=_particle_columns(self._particles(store)),
            )
        )
        return acts.examples.ProcessCode.SUCCESS


Barcode = tuple[int, int, int, int, int]


def _barcode(code: acts.examples.SimBarcode) -> Barcode:
    return (
        code.vertexPrimary,
        code.vertexSecondary,
        code.particle,
        code.generation,
        code.subParticle,
    )


def _pack(barcodes: list[Barcode]) -> NDArray[np.uint64]:
    return particle_ids(*np.array(barcodes, dtype=np.int64).reshape(-1, 5).T)


def _particle_columns(
    container: acts.examples.SimParticleContainer,
) -> dict[str, NDArray[np.generic]]:
    rows, barcodes = [], []
    for particle in container:
        state = particle.initialState
        vertex, momentum = state.fourPosition, state.fourMomentum
        barcode = _barcode(particle.particleId)
        barcodes.append(barcode)
        rows.append(
            (
                int(particle.pdg.value),
                particle.charge,
                *(vertex[i] for i in range(3)),
                *(momentum[i] for i in range(3)),
                barcode[0],
            )
        )
    table = np.array(rows, dtype=np.float64).reshape(-1, 9)
    floats = {
        name: table[:, i].astype(np.float32)
        for i, name in enumerate(("q", "vx", "vy", "vz", "px", "py", "pz"), 1)
    }
    return {
        "particle_id": _pack(barcodes),
        "pdg": table[:, 0].astype(np.int32),
        **floats,
        "primary_vertex": table[:, 8].astype(np.int32),
    }
