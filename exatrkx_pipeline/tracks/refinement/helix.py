"""Helices through space points, and how far points are from them; compiled.

A helix is an array of `N_PARAMETERS` floats, at the indices below. Its axis is along
the field, z.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from exatrkx_pipeline.config import RefinementConfig
from exatrkx_pipeline.kernels.machine_code import compiled

CENTRE_X, CENTRE_Y, RADIUS = 0, 1, 2
PERIGEE_X, PERIGEE_Y = 3, 4
"""Point of the circle that is closest to the beam line."""
AHEAD_X, AHEAD_Y = 5, 6
"""Unit vector along the circle at the perigee, towards the last point fitted."""
Z0, COT_THETA = 7, 8
"""z at the perigee, and dz by the transverse arc length."""
N_PARAMETERS = 9

GEV_PER_TESLA_MM = 0.000299792458
"""Transverse momentum of a unit charge = this * field * radius (the speed of light)."""

FAR = 1.0
"""Distance across, in tolerances, beyond which the distance along does not matter."""

STRAIGHT = 1e-14
"""Spread across over spread along, squared, below which a circle is not resolved."""


class Tolerances(NamedTuple):
    """Farthest that a point on a helix may be from it, in mm."""

    transverse: float
    longitudinal: float

    @classmethod
    def of(cls, config: RefinementConfig, factor: float = 1.0) -> Self:
        """The configured tolerances, times a factor."""
        return cls(factor * config.transverse_mm, factor * config.longitudinal_mm)


@compiled
def copy_point(xyz, point, copies, place):
    """Copy a row of `xyz`, shape (n_space_points, 3), to a row of `copies`."""
    for k in range(3):  # assigning whole rows takes numba long to compile
        copies[place, k] = xyz[point, k]


@compiled
def fit_helix(points, n, helix):
    """Fit a helix to the first `n` rows (x, y, z) of `points`, n >= 3, outward.

    The circle by Kasa's method (IEEE Trans. Instrum. Meas. 25 (1976) 8), which is
    linear; z as a straight line in arc length. All points weigh the same, because
    scattering outweighs the differences of resolution at the momenta that matter.

    Parameters
    ----------
    points : ndarray, shape (n_rows, 3), float64
        In mm.
    n : int
    helix : ndarray, shape (`N_PARAMETERS`,), float64
        Written.
    """
    x0, y0 = 0.0, 0.0
    for i in range(n):
        x0 += points[i, 0]
        y0 += points[i, 1]
    x0 /= n
    y0 /= n
    xx, yy, xy, xs, ys, ss = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        x, y = points[i, 0] - x0, points[i, 1] - y0
        s = x * x + y * y
        xx += x * x
        yy += y * y
        xy += x * y
        xs += x * s
        ys += y * s
        ss += s
    determinant = max(xx * yy - xy * xy, STRAIGHT * ss * ss + 1e-30)
    a = (xs * yy - ys * xy) / determinant / 2
    b = (ys * xx - xs * xy) / determinant / 2
    radius = np.sqrt(a * a + b * b + ss / n)
    centre_x, centre_y = a + x0, b + y0
    away = np.sqrt(centre_x * centre_x + centre_y * centre_y) + 1e-12
    helix[CENTRE_X], helix[CENTRE_Y], helix[RADIUS] = centre_x, centre_y, radius
    helix[PERIGEE_X] = centre_x * (1 - radius / away)
    helix[PERIGEE_Y] = centre_y * (1 - radius / away)
    along_x, along_y = -centre_y / away, centre_x / away
    last_x = points[n - 1, 0] - helix[PERIGEE_X]
    last_y = points[n - 1, 1] - helix[PERIGEE_Y]
    sign = 1.0 if along_x * last_x + along_y * last_y > 0 else -1.0
    helix[AHEAD_X], helix[AHEAD_Y] = sign * along_x, sign * along_y

    s0, z0 = 0.0, 0.0
    for i in range(n):
        s0 += _arc_length(points[i, 0], points[i, 1], helix)
        z0 += points[i, 2]
    s0 /= n
    z0 /= n
    ss, sz = 0.0, 0.0
    for i in range(n):
        s = _arc_length(points[i, 0], points[i, 1], helix) - s0
        ss += s * s
        sz += s * (points[i, 2] - z0)
    helix[COT_THETA] = sz / max(ss, 1e-9)
    helix[Z0] = z0 - helix[COT_THETA] * s0


@compiled
def _arc_length(x, y, helix):
    """Arc length from the perigee, from the chord.

    Exact up to half a turn, and for straight tracks.
    """
    chord = np.sqrt((x - helix[PERIGEE_X]) ** 2 + (y - helix[PERIGEE_Y]) ** 2)
    diameter = 2 * helix[RADIUS]
    return diameter * np.arcsin(min(chord / diameter, 1.0))


@compiled
def misfit(point, helix, tolerances):
    """Distance of a point (x, y, z) from the helix, in tolerances.

    The larger one of the distances across and along; beyond `FAR`, the one across.
    """
    x, y, z = point
    r = np.sqrt((x - helix[CENTRE_X]) ** 2 + (y - helix[CENTRE_Y]) ** 2)
    across = abs(r - helix[RADIUS]) / tolerances.transverse
    if across > FAR:  # the arc length costs more than everything else
        return across
    cot = helix[COT_THETA]
    along = abs(z - helix[Z0] - cot * _arc_length(x, y, helix))
    return max(across, along / np.sqrt(1.0 + cot * cot) / tolerances.longitudinal)


@compiled
def worst_misfit(points, n, helix, tolerances):
    """The largest `misfit` of the first `n` points."""
    worst = 0.0
    for i in range(n):
        point = (points[i, 0], points[i, 1], points[i, 2])
        worst = max(worst, misfit(point, helix, tolerances))
    return worst


@compiled
def azimuth_at(helix, r):
    """Azimuth where the helix first crosses radius `r`; NaN if it does not."""
    centre_x, centre_y, radius = helix[CENTRE_X], helix[CENTRE_Y], helix[RADIUS]
    away = np.sqrt(centre_x * centre_x + centre_y * centre_y)
    if r <= abs(away - radius) or r >= away + radius or away == 0.0:
        return np.nan
    cosine = (away * away + radius * radius - r * r) / (2 * away * radius)
    cosine = min(max(cosine, -1.0), 1.0)
    sine = np.sqrt(1.0 - cosine * cosine)
    x = (
        centre_x
        + (helix[PERIGEE_X] - centre_x) * cosine
        + radius * sine * helix[AHEAD_X]
    )
    y = (
        centre_y
        + (helix[PERIGEE_Y] - centre_y) * cosine
        + radius * sine * helix[AHEAD_Y]
    )
    return np.arctan2(y, x)
