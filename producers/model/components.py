"""Connected components of many events at once: their numbers and their order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "candidate_order",
    "number_by_first_point",
    "squared_distance",
    "within_events",
]


_DISTANCE_BITS = 31
"""Bits of a float32 without its sign."""


def within_events(
    components: NDArray[np.integer], point_splits: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return numbers that differ between events, below the number of space points.

    Parameters
    ----------
    components : ndarray, shape (n_space_points,), integer
        Any number per component within an event; negative where there is none.
    point_splits : ndarray, shape (n_events + 1,), int64

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Undefined where `components` is negative.
    """
    n_points = np.diff(point_splits)
    numbers = components.astype(np.int64)
    # There are at most as many components as points, and most models number them
    # without gaps. Other numbers are replaced, event by event.
    if (numbers >= np.repeat(n_points, n_points)).any():
        for low, high in pairwise(point_splits):
            own = numbers[low:high]
            is_on_one = own >= 0
            _, own[is_on_one] = np.unique(own[is_on_one], return_inverse=True)
    return numbers + np.repeat(point_splits[:-1], n_points)


def number_by_first_point(
    numbers: NDArray[np.int64],
    points: NDArray[np.int64],
    is_kept: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rank of each point's component, by the component's first point.

    Parameters
    ----------
    numbers : ndarray, shape (n,), int64
        Component of each point.
    points : ndarray, shape (n,), int64
        The points, rising.
    is_kept : ndarray, shape (n_numbers,), bool
        The components that count.

    Returns
    -------
    rank : ndarray, shape (n,), int64
        -1 where the component is not kept.
    kept : ndarray, shape (n_kept,), int64
        The component of each rank.
    first : ndarray, shape (n_kept,), int64
        Its first point.
    """
    first = np.zeros(len(is_kept), dtype=np.int64)
    first[numbers[::-1]] = points[::-1]  # for equal indices the last value stays
    kept = np.flatnonzero(is_kept)
    kept = kept[np.argsort(first[kept])]
    ranks = np.full(len(is_kept), -1, dtype=np.int64)
    ranks[kept] = np.arange(len(kept))
    return ranks.take(numbers), kept, first[kept]


def squared_distance(xyz: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the squared distance of points from the origin, shape (n,), in mm²."""
    x, y, z = np.ascontiguousarray(xyz.T, dtype=np.float64)
    distance2: NDArray[np.float64] = x * x + y * y + z * z
    return distance2


def candidate_order(
    candidate: NDArray[np.int64], distance2: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the order by candidate, then by distance from the origin.

    Equally distant points keep their order.

    Parameters
    ----------
    candidate : ndarray, shape (n,), int64
        From zero; fewer than 2^32.
    distance2 : ndarray, shape (n,), float64
        Squared distances.

    Notes
    -----
    Candidate, distance and place are packed into one integer, because sorting that is
    several times faster than sorting by two keys; positive floats are ordered as their
    bits are. Points that are equal in float32 are then ordered by their distance in
    float64.
    """
    # A sum beyond float32 becomes infinite; such ties are resolved below, too.
    with np.errstate(over="ignore"):
        bits = distance2.astype(np.float32).view(np.int32).astype(np.int64)
    order, in_order = _sorted_places((candidate << _DISTANCE_BITS) | bits)
    is_tied = in_order[1:] == in_order[:-1]
    if is_tied.any():
        tied = np.flatnonzero(np.append(is_tied, False) | np.append(False, is_tied))
        rows = order[tied]
        order[tied] = rows[np.lexsort((rows, distance2[rows], in_order[tied]))]
    return order


def _sorted_places(
    keys: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the previous places of the sorted keys, and the keys; none is negative."""
    place_bits = len(keys).bit_length()
    if len(keys) and int(keys.max()).bit_length() + place_bits < 64:
        keys <<= place_bits
        keys |= np.arange(len(keys))
        keys.sort()
        return keys & ((1 << place_bits) - 1), keys >> place_bits
    order = np.argsort(keys)
    return order, keys[order]
