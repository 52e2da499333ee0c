"""An index of space points: rings in radius, sorted by azimuth within each ring."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.tracks.refinement.helix import azimuth_at, misfit

WIDTH_MM = 10.0
"""Width of a ring: less than the gap between layers, more than a layer's spread."""

MOST_RINGS = 4_096
"""Points farther out are in the last one: a radius in a wrong unit must not decide how
large an array is."""

MIN_RADIUS_MM = 1.0
"""Where the innermost ring begins: azimuths mean nothing at the axis."""

MOST_NEAR = 64
"""Most points of a ring that are reported: in a tangle, more would say nothing."""

UNKNOWN = np.inf
"""Azimuth of a crossing that is not computed yet."""


class Rings(NamedTuple):
    """The points of one event, and their index."""

    xyz: NDArray[np.float64]
    """Positions in mm, shape (n_space_points, 3)."""

    points: NDArray[np.int64]
    """Indices of the points, ring by ring, by azimuth within; (n_space_points,)."""

    azimuths: NDArray[np.float64]
    """Azimuth of each of `points`, in (-pi, pi]."""

    starts: NDArray[np.int64]
    """Where each ring starts, and the end, shape (n_rings + 1,)."""

    @classmethod
    def of(cls, xyz: NDArray[np.float64]) -> Self:
        """Index points at these positions in mm, shape (n_space_points, 3)."""
        r = np.hypot(xyz[:, 0], xyz[:, 1])
        ring = np.minimum(r / WIDTH_MM, MOST_RINGS - 1).astype(np.int64)
        azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
        points = np.lexsort((azimuth, ring))
        n_rings = int(ring.max(initial=-1)) + 1
        starts = np.searchsorted(ring[points], np.arange(n_rings + 1))
        return cls(xyz, points, azimuth[points], starts.astype(np.int64))


class HelixPath(NamedTuple):
    """A helix that is followed from ring to ring."""

    helix: NDArray[np.float64]  #: shape (`N_PARAMETERS`,)
    crossings: NDArray[np.float64]
    """Azimuths where it crosses the rings' borders, `UNKNOWN` until needed."""


class Near(NamedTuple):
    """Room for the points of a ring that are near a helix; shapes (MOST_NEAR,)."""

    points: NDArray[np.int64]
    misfits: NDArray[np.float64]


@compiled
def no_crossings(rings):
    """Room for the crossings of one helix; fill it with `UNKNOWN` for another."""
    return np.full(len(rings.starts), UNKNOWN)


@compiled
def new_near():
    """Room for the results of `near_in_ring`."""
    return Near(np.empty(MOST_NEAR, np.int64), np.empty(MOST_NEAR))


@compiled
def _crossing(path, border):
    if path.crossings[border] == UNKNOWN:
        r = max(border * WIDTH_MM, MIN_RADIUS_MM)
        path.crossings[border] = azimuth_at(path.helix, r)
    return path.crossings[border]


@compiled
def near_in_ring(rings, ring, path, tolerances, near):
    """Find the points of a ring within the tolerances of a helix; their number.

    Parameters
    ----------
    rings : Rings
    ring : int
    path : HelixPath
        Crossings that are needed are computed.
    tolerances : Tolerances
    near : Near
        Written.
    """
    start, stop = rings.starts[ring], rings.starts[ring + 1]
    if start == stop:  # as between the layers of a barrel
        return 0
    inner = max(ring * WIDTH_MM, MIN_RADIUS_MM)
    azimuth = _crossing(path, ring)
    turn = _crossing(path, ring + 1) - azimuth
    if np.isnan(turn):  # rare: it begins or turns back within the ring
        azimuth, turn = azimuth_at(path.helix, inner + WIDTH_MM / 2), np.pi / 2
    if np.isnan(azimuth):
        return 0
    turn -= 2 * np.pi * np.round(turn / (2 * np.pi))
    half_width = min(abs(turn) / 2 + 1.5 * tolerances.transverse / inner, np.pi)
    azimuth += turn / 2
    azimuths = rings.azimuths[start:stop]
    n_near = 0
    for turn in (-2 * np.pi, 0.0, 2 * np.pi):  # the window may cross the cut at pi
        low, high = azimuth - half_width + turn, azimuth + half_width + turn
        if high < -np.pi or low > np.pi:
            continue
        place = np.searchsorted(azimuths, low)
        while place < len(azimuths) and azimuths[place] <= high and n_near < MOST_NEAR:
            point = rings.points[start + place]
            xyz = (rings.xyz[point, 0], rings.xyz[point, 1], rings.xyz[point, 2])
            miss = misfit(xyz, path.helix, tolerances)
            if miss <= 1.0:
                near.points[n_near], near.misfits[n_near] = point, miss
                n_near += 1
            place += 1
    return n_near
