"""The quantities of `inputs.edge_inputs` in one pass over the edges, on the CPU."""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.machine_code import compiled

BLOCK = 256
"""Edges whose quantities stay in the fastest cache, where loops are vectors."""

COLUMNS = ("dr", "dphi", "dz", "deta", "curvature", "z0")
"""What is written, in the order of `columns`."""

R, PHI, Z, ETA = range(4)
"""Columns of the points."""

PI, TWO_PI = np.float32(np.pi), np.float32(2 * np.pi)


@compiled
def write_edge_inputs(  # noqa: PLR0917
    first, end, points, row, col, columns, min_span, max_curvature, max_z0, inputs
):
    """Write each of `COLUMNS` to the column of `inputs` that `columns` has for it.

    `points` are r, phi, z, eta, shape (n_points, 4), float32; what is at -1 is left
    out. Rows of `inputs` from `first` to `end` are written.
    """
    outer = np.empty((4, BLOCK), np.float32)
    inner = np.empty((4, BLOCK), np.float32)
    values = np.empty((6, BLOCK), np.float32)
    for begin in range(first, end, BLOCK):
        n = min(BLOCK, end - begin)
        for i in range(n):
            at_row, at_col = row[begin + i], col[begin + i]
            for k in range(4):
                outer[k, i] = points[at_row, k]
                inner[k, i] = points[at_col, k]
        _quantities(outer, inner, min_span, max_curvature, max_z0, values)
        for k in range(6):
            if columns[k] >= 0:
                for i in range(n):
                    inputs[begin + i, columns[k]] = values[k, i]


@compiled
def _quantities(outer, inner, min_span, max_curvature, max_z0, values):  # noqa: PLR0917
    dr, dphi, dz, deta, curvature, z0 = values
    for i in range(BLOCK):
        dr[i] = outer[R, i] - inner[R, i]
        dz[i] = outer[Z, i] - inner[Z, i]
        deta[i] = outer[ETA, i] - inner[ETA, i]
        turn = outer[PHI, i] - inner[PHI, i]
        dphi[i] = turn - TWO_PI * np.floor((turn + PI) / TWO_PI)
    for i in range(BLOCK):
        half = np.float32(0.5) * dphi[i]
        sine, cosine = _sine(half), _cosine(half)
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


# Taylor series to where the next term is below 1e-7 at pi / 2: arithmetic alone, of
# which the compiler makes vectors; the library's functions are calls.
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
