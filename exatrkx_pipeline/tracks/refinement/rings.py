"""Space points by rings in radius, sorted by azimuth within: those near a helix."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.tracks.refinement.helix import azimuth_at, misfit

WIDTH_MM = 10.0
"""Of a ring: less than the gap of two layers, more than a layer's own spread."""

MOST_RINGS = 4_096
"""What is farther out is in the last one: a radius in a wrong unit must not decide how
large an array is."""

MIN_RADIUS_MM = 1.0
"""Where the innermost ring begins: azimuths mean nothing at the axis."""

MOST_NEAR = 64
"""Points of a ring that are reported at most: in a tangle, any more say nothing."""

UNKNOWN = np.inf
"""Azimuth of a crossing that was not computed so far."""


class Rings(NamedTuple):
    """An index of the points of one event."""

    points: NDArray[np.int64]
    """Indices of the points, ring by ring, by azimuth within; (n_space_points,)."""

    azimuths: NDArray[np.float64]
    """Of those, in (-pi, pi]."""

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
        return cls(points, azimuth[points], starts.astype(np.int64))


@compiled
def no_crossings(rings):
    """Room for the azimuths where one helix crosses the rings' borders.

    `near_in_ring` computes those that it needs; fill with `UNKNOWN` for another helix.
    """
    return np.full(len(rings.starts), UNKNOWN)


@compiled
def _crossing(helix, border, crossings):
    if crossings[border] == UNKNOWN:
        r = max(border * WIDTH_MM, MIN_RADIUS_MM)
        crossings[border] = azimuth_at(helix, r)
    return crossings[border]


@compiled
def near_in_ring(  # noqa: PLR0917
    xyz, rings, ring, helix, crossings, transverse, longitudinal, near, misfits
):
    """Points of a ring within the tolerances of a helix, to `near`; how many."""
    start, stop = rings.starts[ring], rings.starts[ring + 1]
    if start == stop:  # many of a barrel's
        return 0
    inner = max(ring * WIDTH_MM, MIN_RADIUS_MM)
    azimuth = _crossing(helix, ring, crossings)
    turn = _crossing(helix, ring + 1, crossings) - azimuth
    if np.isnan(turn):  # it turns back, or comes from, within the ring: rare
        azimuth, turn = azimuth_at(helix, inner + WIDTH_MM / 2), np.pi / 2
    if np.isnan(azimuth):
        return 0
    turn -= 2 * np.pi * np.round(turn / (2 * np.pi))
    half = min(abs(turn) / 2 + 1.5 * transverse / inner, np.pi)
    azimuth += turn / 2
    azimuths = rings.azimuths[start:stop]
    n_near = 0
    for turn in (-2 * np.pi, 0.0, 2 * np.pi):  # the window may cross the cut at pi
        low, high = azimuth - half + turn, azimuth + half + turn
        if high < -np.pi or low > np.pi:
            continue
        place = np.searchsorted(azimuths, low)
        while place < len(azimuths) and azimuths[place] <= high and n_near < MOST_NEAR:
            point = rings.points[start + place]
            x, y, z = xyz[point, 0], xyz[point, 1], xyz[point, 2]
            miss = misfit(x, y, z, helix, transverse, longitudinal)
            if miss <= 1.0:
                near[n_near], misfits[n_near] = point, miss
                n_near += 1
            place += 1
    return n_near
