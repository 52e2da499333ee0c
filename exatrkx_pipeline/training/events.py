"""Training events: space points with truth as arrays, wedges, augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.config import FeatureConfig
from exatrkx_pipeline.stages.event_groups import outward_order


class Purpose(IntEnum):
    """Purpose of random numbers; each purpose has its own sequence."""

    ORDER = 0
    AUGMENTATION = 1
    PAIRS = 2
    THINNING = 3
    VALIDATION = 4


def step_rng(seed: int, purpose: Purpose, number: int) -> np.random.Generator:
    """Return the random generator of one step, round or event.

    It depends on nothing but its arguments (`numpy.random.SeedSequence`), so a training
    that is resumed gets the same events, rotated and thinned the same way, as one that
    was never interrupted, although batches are prepared ahead.
    """
    return np.random.default_rng((seed, int(purpose), number))


NOISE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEvent:
    """One event with truth, its space points sorted outward.

    All arrays have the length ``n_space_points``.
    """

    r: NDArray[np.float64]  #: mm
    phi: NDArray[np.float64]  #: rad
    z: NDArray[np.float64]  #: mm
    particle: NDArray[np.int64]  #: number of the particle in this event, -1 = noise
    pt_gev: NDArray[np.float32]  #: transverse momentum of that particle, 0 for noise
    path_mm: NDArray[np.float64]  #: distance from that particle's production point

    def __len__(self) -> int:
        return len(self.r)

    def scaled(self, features: FeatureConfig) -> NDArray[np.float32]:
        """Return the pipeline's input tensor, shape (n_space_points, 3)."""
        columns = np.column_stack((self.r, self.phi, self.z))
        scaled: NDArray[np.float32] = columns / np.array(features.scales)
        return scaled.astype(np.float32)

    def take(self, index: NDArray[np.integer]) -> TrainingEvent:
        """Return the event with only these space points, in this order."""
        return TrainingEvent(
            **{name: getattr(self, name)[index] for name in self.__slots__}
        )

    @classmethod
    def from_arrays(
        cls,
        xyz: NDArray[np.floating],
        particle: NDArray[np.integer],
        momentum_gev: NDArray[np.floating],
        vertex_mm: NDArray[np.floating],
    ) -> TrainingEvent:
        """Sort an event outward and attach its truth to each space point.

        Parameters
        ----------
        xyz : ndarray, shape (n_space_points, 3)
            Positions in mm.
        particle : ndarray, shape (n_space_points,), integer
            Row of each space point's particle in the two tables below, -1 for none.
        momentum_gev, vertex_mm : ndarray, shape (n_particles, 3)
            Momentum and production point of each particle.
        """
        x, y, z = np.asarray(xyz, dtype=np.float64).T
        truth = particle >= 0
        pt = np.where(truth, _lookup(np.hypot(*momentum_gev[:, :2].T), particle), 0.0)
        vertex = np.stack([_lookup(column, particle) for column in vertex_mm.T], axis=1)
        event = cls(
            r=np.hypot(x, y),
            phi=np.arctan2(y, x),
            z=z,
            particle=particle.astype(np.int64),
            pt_gev=pt.astype(np.float32),
            path_mm=np.linalg.norm(xyz - vertex, axis=1),
        )
        return event.sorted_outward()

    def sorted_outward(self) -> TrainingEvent:
        """Return the same event in the pipeline's own order."""
        unit = FeatureConfig(names=("r", "phi", "z"), scales=(1.0, 1.0, 1.0))
        return self.take(outward_order(self.scaled(unit), unit))


def _lookup(
    column: NDArray[np.floating], row: NDArray[np.integer]
) -> NDArray[np.float64]:
    """`column[row]`, 0 where the row is -1."""
    values: NDArray[np.float64] = np.append(column, 0.0)[row]
    return values


def true_edges(event: TrainingEvent) -> NDArray[np.int64]:
    """Return the edges between consecutive space points of one particle.

    Returns
    -------
    ndarray, shape (2, n_true), int64
        Pairs next to each other in distance from the particle's production point
        (ACTS ``TruthGraphBuilder``), row > column, sorted by row, then column.
    """
    order = np.lexsort((event.path_mm, event.particle))
    particle = event.particle[order]
    joined = (particle[1:] == particle[:-1]) & (particle[1:] != NOISE)
    first, second = order[:-1][joined], order[1:][joined]
    row, col = np.maximum(first, second), np.minimum(first, second)
    by_row = np.lexsort((col, row))
    return np.stack((row[by_row], col[by_row]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random variations of training events, so that no sample is learned by heart."""

    max_noise: float = 0.10
    """Largest share of space points of other events that is added as noise."""

    max_inefficiency: float = 0.03
    """Largest share of space points that is dropped."""

    max_smearing_mm: float = 0.0
    """Largest width of a Gaussian by which points are moved in phi and along the beam:
    a resolution other than the simulated one."""

    def apply(
        self, event: TrainingEvent, other: TrainingEvent, rng: np.random.Generator
    ) -> TrainingEvent:
        """Rotate, mirror and thin out an event, and add noise.

        The event is rotated around the beam by a random angle and mirrored in z and in
        phi half of the time each: symmetries of the detector and the physics. Shares of
        lost points and of noise, and the width of the smearing, are drawn flat up to
        their maxima. Noise points are points of `other`, rotated likewise, so they lie
        on the detector's layers.
        """
        lost = rng.uniform(0.0, self.max_inefficiency)
        kept = event.take(np.flatnonzero(rng.random(len(event)) >= lost))
        n_noise = int(rng.uniform(0.0, self.max_noise) * len(event))
        n_noise = min(n_noise, len(other))
        noise = other.take(rng.choice(len(other), n_noise, replace=False))
        kept, noise = _rotated(kept, rng), _rotated(noise, rng)
        both = {
            name: np.concatenate((getattr(kept, name), getattr(noise, name)))
            for name in TrainingEvent.__slots__
        }
        both["particle"][len(kept) :] = NOISE
        both["pt_gev"][len(kept) :] = 0.0
        if self.max_smearing_mm > 0.0:
            width_mm = rng.uniform(0.0, self.max_smearing_mm)
            across, along = rng.normal(0.0, width_mm, (2, len(both["r"])))
            both["phi"] = _wrapped(both["phi"] + across / np.maximum(both["r"], 1.0))
            both["z"] = both["z"] + along
        return TrainingEvent(**both).sorted_outward()


def wedge(
    event: TrainingEvent, max_space_points: int, rng: np.random.Generator
) -> TrainingEvent:
    """Return a random slice in phi of about `max_space_points`, or a smaller event.

    The density does not change, so the cost of a training step and what it learns
    depend little on pileup. Tracks that cross the borders are cut there.
    """
    if len(event) <= max_space_points:
        return event
    width = 2 * np.pi * max_space_points / len(event)
    from_start = np.remainder(event.phi - rng.uniform(-np.pi, np.pi), 2 * np.pi)
    return event.take(np.flatnonzero(from_start < width))


def _wrapped(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map angles into [-pi, pi)."""
    wrapped: NDArray[np.float64] = np.remainder(phi + np.pi, 2 * np.pi) - np.pi
    return wrapped


def _rotated(event: TrainingEvent, rng: np.random.Generator) -> TrainingEvent:
    phi = event.phi * rng.choice((-1.0, 1.0)) + rng.uniform(-np.pi, np.pi)
    return TrainingEvent(
        r=event.r,
        phi=_wrapped(phi),
        z=event.z * rng.choice((-1.0, 1.0)),
        particle=event.particle,
        pt_gev=event.pt_gev,
        path_mm=event.path_mm,
    )
