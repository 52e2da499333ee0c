"""A grid over the leading principal axes of a point cloud, for pairs within a radius.

The embedding spreads points over few of its dimensions. A grid over the three widest
leaves some thousand candidates a point, a compiled loop over the four widest some tens,
and the full distance in float64 decides: the same pairs as comparing all with all.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.fused_loops import compiled

N_LEADING = 6
CELLS_PER_RADIUS = (1, 1, 4)  # finest on the last axis: its cells are read in one go
MAX_CELLS = 64
"""Of an axis; where the cloud is wider, cells are larger than the radius asks for."""
LANES = 16
"""Candidates that are tested together; most groups have none that is near."""


@dataclass(frozen=True, slots=True)
class NeighbourGrid:
    """Points sorted by cell, ready for `search`; safe for several threads."""

    points: NDArray[np.float64]  #: (n, dim), as given
    leading: NDArray[np.float32]  #: (6, n + LANES), principal coordinates by place
    index: NDArray[np.int64]  #: (n,), the point at each place
    place: NDArray[np.int64]  #: (n,), the place of each point
    starts: NDArray[np.int64]  #: first place of each cell, and the end
    shape: NDArray[np.int64]  #: (3,), cells along each axis
    origin: NDArray[np.float64]  #: (3,), lowest coordinate
    size: NDArray[np.float64]  #: (3,), of a cell
    radius: float
    reach: float  #: the radius, and what float32 coordinates may be wrong by

    @classmethod
    def of(cls, points: NDArray[np.float64], radius: float) -> Self:
        """Sort points, shape (n, dim) with n > 0, into cells."""
        leading = _principal(points)
        origin = leading[:, :3].min(axis=0)
        extent = leading[:, :3].max(axis=0) - origin
        size = np.maximum(radius / np.array(CELLS_PER_RADIUS), extent / MAX_CELLS)
        shape = (extent / size).astype(np.int64) + 1
        x, y, z = ((leading[:, :3] - origin) / size).astype(np.int64).T
        cell = (x * shape[1] + y) * shape[2] + z
        index = np.argsort(cell, kind="stable")
        place = np.empty_like(index)
        place[index] = np.arange(len(index))
        starts = np.zeros(shape.prod() + 1, dtype=np.int64)
        np.cumsum(np.bincount(cell, minlength=shape.prod()), out=starts[1:])
        rounding = 8 * float(np.finfo(np.float32).eps * np.abs(leading).max())
        return cls(
            points=points,
            leading=_padded(leading[index].T),
            index=index,
            place=place,
            starts=starts,
            shape=shape,
            origin=origin,
            size=size,
            radius=radius,
            reach=radius * (1 + 1e-5) + rounding,
        )

    def search(self, first_row: int, capacity: int) -> tuple[int, NDArray[np.int64]]:
        """Pairs of whole rows from `first_row` on, at most `capacity` of them.

        Returns
        -------
        next_row : int
            The first row that is not among them; larger than `first_row` if the
            capacity is at least the number of points.
        edges : ndarray, shape (2, n_edges), int64
            Row > column, sorted by row, then column.
        """
        edges = np.empty((2, capacity), dtype=np.int64)
        next_row, n_edges = _search(
            self.points,
            self.leading,
            self.index,
            self.place,
            self.starts,
            self.shape,
            self.origin,
            self.size,
            self.radius,
            self.reach,
            first_row,
            edges,
        )
        return int(next_row), edges[:, :n_edges].copy()


def _padded(leading: NDArray[np.float64]) -> NDArray[np.float32]:
    """In float32, with room for a whole group of candidates from the last place on."""
    n_axes, n_points = leading.shape
    padded = np.zeros((n_axes, n_points + LANES), dtype=np.float32)
    padded[:, :n_points] = leading
    return padded


def _principal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates along the widest axes, shape (n, 6); zeros beyond the dimensions."""
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # widest last
    n_axes = min(N_LEADING, points.shape[1])
    leading = np.zeros((len(points), N_LEADING))
    leading[:, :n_axes] = centred @ axes[:, ::-1][:, :n_axes]
    return leading


@compiled
def _is_within(points, i, j, radius):
    total = 0.0
    for k in range(points.shape[1]):
        total += (points[i, k] - points[j, k]) ** 2
    return total <= radius * radius


@compiled
def _search(  # noqa: PLR0917
    points,
    leading,
    index,
    place,
    starts,
    shape,
    origin,
    size,
    radius,
    reach,
    first_row,
    edges,
):
    near = np.empty(len(points) + 1, np.int64)
    squared, group = np.empty(LANES, np.float32), np.empty(LANES, np.int64)
    n_edges = 0
    for row in range(first_row, len(points)):
        found = _near_of_row(
            row,
            points,
            leading,
            index,
            place,
            starts,
            shape,
            origin,
            size,
            radius,
            reach,
            near,
            squared,
            group,
        )
        if n_edges + found > edges.shape[1]:
            return row, n_edges
        near[:found].sort()
        for k in range(found):
            edges[0, n_edges + k] = row
            edges[1, n_edges + k] = near[k]
        n_edges += found
    return len(points), n_edges


@compiled
def _near_of_row(  # noqa: PLR0917
    row,
    points,
    leading,
    index,
    place,
    starts,
    shape,
    origin,
    size,
    radius,
    reach,
    near,
    squared,
    group,
):
    """Write the inner points within the radius to `near`; their number."""
    at = place[row]
    x, y, z = leading[0, at], leading[1, at], leading[2, at]
    found = 0
    for ix in range(*_cells(x - origin[0], reach, size[0], shape[0])):
        dx = _gap(x - origin[0], ix, size[0])
        for iy in range(*_cells(y - origin[1], reach, size[1], shape[1])):
            dy = _gap(y - origin[1], iy, size[1])
            left = reach * reach - dx * dx - dy * dy
            if left < 0.0:
                continue
            low, high = _cells(z - origin[2], np.sqrt(left), size[2], shape[2])
            column = (ix * shape[1] + iy) * shape[2]
            found = _near_in_column(
                row,
                at,
                starts[column + low],
                starts[column + high],
                points,
                leading,
                index,
                radius,
                reach,
                near,
                squared,
                group,
                found,
            )
    return found


@compiled
def _cells(offset, reach, size, n_cells):
    """First cell within reach, and the one after the last."""
    low = int(np.floor((offset - reach) / size))
    high = int(np.floor((offset + reach) / size)) + 1
    return min(max(low, 0), n_cells), max(min(high, n_cells), 0)


@compiled
def _gap(offset, cell, size):
    """Distance along an axis from a point to the cell; 0 within it.

    A millionth short, since the coordinate and the cell's border are rounded.
    """
    gap = max(cell * size - offset, offset - (cell + 1) * size)
    return max(gap - 1e-6 * size, 0.0)


@compiled
def _near_in_column(  # noqa: PLR0917
    row,
    at,
    start,
    stop,
    points,
    leading,
    index,
    radius,
    reach,
    near,
    squared,
    group,
    found,
):
    limit = np.float32(reach * reach)
    # Written out: a loop over the axes inside the one over candidates gives no vectors.
    u, v, w = leading[0], leading[1], leading[2]
    s, t, q = leading[3], leading[4], leading[5]
    u0, v0, w0, s0, t0, q0 = u[at], v[at], w[at], s[at], t[at], q[at]
    for first in range(start, stop, LANES):
        for k in range(LANES):
            j = first + k
            squared[k] = (
                (u[j] - u0) ** 2
                + (v[j] - v0) ** 2
                + (w[j] - w0) ** 2
                + (s[j] - s0) ** 2
                + (t[j] - t0) ** 2
                + (q[j] - q0) ** 2
            )
        n_near = 0
        for k in range(LANES):
            n_near += squared[k] <= limit
        if n_near == 0:
            continue
        # Without branches, which could not be predicted: write, then keep or not.
        n_near = 0
        for k in range(min(LANES, stop - first)):
            group[n_near] = index[first + k]
            n_near += squared[k] <= limit
        for k in range(n_near):
            near[found] = group[k]
            found += group[k] < row and _is_within(points, row, group[k], radius)
    return found
