"""Helices through space points, and how far points are from them; compiled.

A helix is a row of floats, named by the numbers below. Its axis is along the field, z.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

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
"""Tolerances across, beyond which it does not matter how far a point is along."""

STRAIGHT = 1e-14
"""Spread across over spread along, squared, below which a circle is not resolved."""


@compiled
def fit_helix(points, n, helix):
    """Fit a helix to the first `n` rows (x, y, z) of `points`, n >= 3, outward.

    The circle by Kasa's method (IEEE Trans. Instrum. Meas. 25 (1976) 8), which is
    linear; z as a straight line in arc length. All points weigh the same: scattering
    outweighs the differences of resolution at the momenta that matter.
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
    """From the perigee, by the chord: exact to half a turn, and for straight tracks."""
    chord = np.sqrt((x - helix[PERIGEE_X]) ** 2 + (y - helix[PERIGEE_Y]) ** 2)
    diameter = 2 * helix[RADIUS]
    return diameter * np.arcsin(min(chord / diameter, 1.0))


@compiled
def misfit(x, y, z, helix, transverse, longitudinal):  # noqa: PLR0917
    """Distance of a point from the helix, in tolerances: the larger of the two.

    Beyond `FAR` the distance across alone.
    """
    r = np.sqrt((x - helix[CENTRE_X]) ** 2 + (y - helix[CENTRE_Y]) ** 2)
    across = abs(r - helix[RADIUS]) / transverse
    if across > FAR:  # the arc length costs more than all else
        return across
    cot = helix[COT_THETA]
    along = abs(z - helix[Z0] - cot * _arc_length(x, y, helix))
    return max(across, along / np.sqrt(1.0 + cot * cot) / longitudinal)


@compiled
def worst_misfit(points, n, helix, transverse, longitudinal):
    """The largest `misfit` of the first `n` points."""
    worst = 0.0
    for i in range(n):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        worst = max(worst, misfit(x, y, z, helix, transverse, longitudinal))
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
