"""The edge inputs of the networks in one pass over the edges; see `stages.inputs`."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled

BLOCK = 256
"""Edges computed at a time: their quantities stay in the fastest cache, and loops over
them become vector instructions."""

QUANTITIES = ("dr", "dphi", "dz", "deta", "curvature", "z0")
"""The quantities, in the order that the kernel numbers them in."""

R, PHI, Z, ETA = range(4)
"""Columns of the points."""


class Caps(NamedTuple):
    """Where quantities are capped, float32; see `stages.inputs`."""

    min_span: np.float32  #: m
    max_curvature: np.float32  #: 1/m
    max_z0: np.float32  #: m


PI, TWO_PI = np.float32(np.pi), np.float32(2 * np.pi)


@compiled
def write_edge_inputs(tile, points, edges, columns, caps, inputs):  # noqa: PLR0917
    """Write quantities of edges to the columns of their inputs.

    Parameters
    ----------
    tile : Tile
        Range of edges.
    points : ndarray, shape (n_points, 4), float32
        r, phi, z, eta in m, rad, m.
    edges : Edges
    columns : ndarray, shape (6,), int64
        Column of each of `QUANTITIES`, -1 to leave it out.
    caps : Caps
    inputs : ndarray, shape (n_edges, n_columns), float32
        Rows of the tile are written.
    """
    first, end = tile.begin, tile.begin + tile.n
    outer = np.empty((4, BLOCK), np.float32)
    inner = np.empty((4, BLOCK), np.float32)
    values = np.empty((6, BLOCK), np.float32)
    for begin in range(first, end, BLOCK):
        n = min(BLOCK, end - begin)
        for i in range(n):
            row, col = edges.row[begin + i], edges.col[begin + i]
            for k in range(4):
                outer[k, i] = points[row, k]
                inner[k, i] = points[col, k]
        _quantities(outer, inner, caps, values)
        for k in range(6):
            if columns[k] >= 0:
                for i in range(n):
                    inputs[begin + i, columns[k]] = values[k, i]


@compiled
def _quantities(outer, inner, caps, values):
    dr, dphi, dz, deta, curvature, z0 = values
    min_span, max_curvature, max_z0 = caps.min_span, caps.max_curvature, caps.max_z0
    for i in range(BLOCK):
        dr[i] = outer[R, i] - inner[R, i]
        dz[i] = outer[Z, i] - inner[Z, i]
        deta[i] = outer[ETA, i] - inner[ETA, i]
        turn = outer[PHI, i] - inner[PHI, i]
        dphi[i] = turn - TWO_PI * np.floor((turn + PI) / TWO_PI)
    for i in range(BLOCK):
        half_angle = np.float32(0.5) * dphi[i]
        sine, cosine = _sine(half_angle), _cosine(half_angle)
        chord = np.float32(4.0) * outer[R, i] * inner[R, i] * sine * sine
        span = np.sqrt(dr[i] * dr[i] + chord)
        span = span if span > min_span else min_span
        bend = np.float32(4.0) * sine * cosine / span
        bend = bend if bend < max_curvature else max_curvature
        curvature[i] = bend if bend > -max_curvature else -max_curvature
    for i in range(BLOCK):
        size = dr[i] if dr[i] > -dr[i] else -dr[i]
        small = -min_span if dr[i] < np.float32(0.0) else min_span
        steep = small if size < min_span else dr[i]
        along = inner[Z, i] - inner[R, i] * dz[i] / steep
        along = along if along < max_z0 else max_z0
        z0[i] = along if along > -max_z0 else -max_z0


# Taylor series until the next term is below 1e-7 at pi / 2. The compiler turns this
# arithmetic into vector instructions; the library's functions would be calls.
@compiled
def _sine(x):
    x2 = x * x
    p = np.float32(-1 / 39916800)
    p = p * x2 + np.float32(1 / 362880)
    p = p * x2 + np.float32(-1 / 5040)
    p = p * x2 + np.float32(1 / 120)
    p = p * x2 + np.float32(-1 / 6)
    return x + x * (x2 * p)


@compiled
def _cosine(x):
    x2 = x * x
    p = np.float32(1 / 479001600)
    p = p * x2 + np.float32(-1 / 3628800)
    p = p * x2 + np.float32(1 / 40320)
    p = p * x2 + np.float32(-1 / 720)
    p = p * x2 + np.float32(1 / 24)
    p = p * x2 + np.float32(-1 / 2)
    return np.float32(1.0) + x2 * p
