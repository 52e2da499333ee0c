"""Tracks out of the forms in which models give them.

All return groups of space points in flat form: group i is
``points[row_splits[i]:row_splits[i + 1]]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["groups_of_labels", "labels_of_groups", "separated_groups"]


def separated_groups(
    values: ArrayLike, *, separator: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups of a list with a separator between, or after, them.

    Parameters
    ----------
    values : array_like, shape (n,), integer
        Such as ``[3, 5, 8, -1, 0, 2]``. Whether a separator follows the last group
        makes no difference: it is never lost.
    separator : int
        -1 where values are numbers of space points counted from 0, as in ATLAS'
        models; 0 where 0 is no value, as of barcodes and of numbers from 1.

    Returns
    -------
    points : ndarray, shape (n_points,), int64
        The values of all groups, in order, without separators.
    row_splits : ndarray, shape (n_groups + 1,), int64
        ``[0]`` if there are no groups. A group has one value at least: separators
        beside each other, or before the first value, part no empty groups.

    Raises
    ------
    ValueError
        If `values` has more than one axis.
    """
    flat = np.asarray(values, dtype=np.int64)
    if flat.ndim != 1:
        raise ValueError(f"expected values of shape (n,), got {flat.shape}")
    is_value = flat != separator
    # A group begins at each value that no value comes before.
    begins = is_value & ~np.concatenate([[False], is_value[:-1]])
    points = flat[is_value]
    starts = np.flatnonzero(begins[is_value])
    # The last group ends where the values do, with or without a separator.
    return points, np.append(starts, len(points))


def groups_of_labels(
    labels: ArrayLike,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups of space points that have one label.

    Parameters
    ----------
    labels : array_like, shape (n_space_points,), integer
        Any number a group; a negative one is on no group.

    Returns
    -------
    points : ndarray, shape (n_points,), int64
        Numbers of the space points, group by group, rising within each.
    row_splits : ndarray, shape (n_groups + 1,), int64
        Groups in the order of their labels; ``[0]`` if there are none.

    Raises
    ------
    ValueError
        If `labels` has more than one axis.
    """
    flat = np.asarray(labels)
    if flat.ndim != 1:
        raise ValueError(
            f"expected labels of shape (n_space_points,), got {flat.shape}"
        )
    on_one = np.flatnonzero(flat >= 0)
    points = on_one[np.argsort(flat[on_one], kind="stable")]
    _, counts = np.unique(flat[on_one], return_counts=True)
    return points, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def labels_of_groups(
    points: ArrayLike, row_splits: ArrayLike, *, n_space_points: int
) -> NDArray[np.int64]:
    """Return the label of each space point: the number of its group.

    Parameters
    ----------
    points : array_like, shape (n_points,), integer
        Numbers of space points, from 0.
    row_splits : array_like, shape (n_groups + 1,), integer
    n_space_points : int

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        -1 for those on no group.

    Raises
    ------
    ValueError
        If there is no such space point, or one is on two groups: a label cannot
        say that.
    """
    members = np.asarray(points, dtype=np.int64)
    splits = np.asarray(row_splits, dtype=np.int64)
    wrong = members[(members < 0) | (members >= n_space_points)]
    if len(wrong):
        raise ValueError(f"no space point {wrong[0]} among {n_space_points}")
    times = np.bincount(members, minlength=n_space_points)
    if (times > 1).any():
        shared = int(np.argmax(times > 1))
        raise ValueError(f"space point {shared} is on {times[shared]} groups")
    labels = np.full(n_space_points, -1, dtype=np.int64)
    labels[members] = np.repeat(np.arange(len(splits) - 1), np.diff(splits))
    return labels
