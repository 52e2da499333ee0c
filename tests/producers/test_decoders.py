"""Tracks out of separated lists and labels."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.model.decoders import (
    groups_of_labels,
    labels_of_groups,
    separated_groups,
)


def as_lists(points, row_splits):
    return [points[a:b].tolist() for a, b in pairwise(row_splits.tolist())]


groups = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), max_size=6)


@given(groups, st.booleans())
def test_minus_one_separated_groups_come_back_terminated_or_not(lists, is_terminated):
    values = [value for group in lists for value in (*group, -1)]
    if not is_terminated:
        values = values[:-1]

    assert as_lists(*separated_groups(values, separator=-1)) == lists


@given(groups, st.booleans())
def test_zero_separated_groups_come_back_terminated_or_not(lists, is_terminated):
    lists = [[value + 1 for value in group] for group in lists]
    values = [value for group in lists for value in (*group, 0)]
    if not is_terminated:
        values = values[:-1]

    assert as_lists(*separated_groups(values, separator=0)) == lists


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([-1], []),
        ([-1, -1, 4, -1, -1, -1, 7], [[4], [7]]),
        ([3, 5, 8, -1, 0, 2], [[3, 5, 8], [0, 2]]),
    ],
    ids=["nothing", "a separator alone", "several beside each other", "unterminated"],
)
def test_separators_part_no_empty_groups(values, expected):
    points, row_splits = separated_groups(values, separator=-1)

    assert as_lists(points, row_splits) == expected
    assert row_splits[0] == 0
    assert (points.dtype, row_splits.dtype) == (np.int64, np.int64)


def test_a_table_is_no_list():
    with pytest.raises(ValueError, match=r"shape \(n,\), got \(2, 3\)"):
        separated_groups(np.zeros((2, 3), int), separator=-1)


def test_labels_group_points_in_the_order_of_the_labels():
    points, row_splits = groups_of_labels([7, -1, 2, 7, 2, -5, 9])

    assert as_lists(points, row_splits) == [[2, 4], [0, 3], [6]]


@given(st.lists(st.integers(-2, 5), max_size=30))
def test_labels_of_the_groups_of_labels_part_the_points_alike(labels):
    again = labels_of_groups(*groups_of_labels(labels), n_space_points=len(labels))

    known = {}
    for before, after in zip(labels, again.tolist(), strict=True):
        assert known.setdefault(max(before, -1), after) == after
    assert len(set(known.values())) == len(known)
    assert known.get(-1, -1) == -1


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([0, 4], "no space point 4 among 4"),
        ([-1, 2], "no space point -1 among 4"),
        ([2, 2], "space point 2 is on 2 groups"),
    ],
)
def test_points_that_no_label_can_name_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        labels_of_groups(points, [0, 1, 2], n_space_points=4)
