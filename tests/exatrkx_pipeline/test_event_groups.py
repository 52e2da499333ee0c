"""Events as the stages take them: sorted outward, in groups, in threads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.config import FeatureConfig
from exatrkx_pipeline.stages.event_groups import (
    outward_order,
    plan_groups,
    plan_shares,
)

FEATURES = FeatureConfig(names=("r", "phi", "z"), scales=(1000.0, math.pi, 500.0))


@given(st.lists(st.integers(0, 60)), st.integers(1, 5))
def test_shares_are_all_groups_in_order(sizes, n_threads):
    groups = list(plan_groups(sizes, 40))

    shares = list(plan_shares(groups, sizes, n_threads, 40))

    ranges = [each for turn in shares for each in turn]
    covered = [group for first, end in ranges for group in range(first, end)]
    assert covered == list(range(len(groups)))
    assert all(1 <= len(turn) <= n_threads for turn in shares)


def test_small_groups_are_shared_out_by_points_and_a_large_event_is_alone():
    sizes = [30, 10, 20, 20, 90, 40, 40]
    groups = list(plan_groups(sizes, 40))
    assert groups == [range(2), range(2, 4), range(4, 5), range(5, 6), range(6, 7)]

    shares = list(plan_shares(groups, sizes, 2, 40))

    assert shares == [[(0, 1), (1, 2)], [(2, 3)], [(3, 4), (4, 5)]]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_labels_are_the_same_with_any_number_of_threads(
    small_pipeline, features, n_threads
):
    events = [features(n, n) for n in (1_500, 2_400, 10, 0, 4_500, 1_900, 700)]
    expected = [small_pipeline.labels(event) for event in events]
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        found = small_pipeline.labels_of(events)
    finally:
        torch.set_num_threads(before)

    for labels, alone in zip(found, expected, strict=True):
        np.testing.assert_array_equal(labels, alone)


@given(st.integers(0, 80), st.integers(1, 5), st.integers(0, 999))
def test_points_are_sorted_by_distance_then_by_r_phi_and_z(n_points, n_values, seed):
    # Few different values make many ties.
    features = np.random.default_rng(seed).integers(-n_values, n_values, (n_points, 3))
    features = features.astype(np.float32)

    order = outward_order(features, FEATURES)

    r, phi, z = features.astype(np.float64).T
    keys = [
        (np.hypot(1000 * a, 500 * c), a, b, c)
        for a, b, c in zip(r, phi, z, strict=True)
    ]
    assert [keys[i] for i in order] == sorted(keys)
    assert sorted(order.tolist()) == list(range(n_points))


def test_groups_are_all_events_in_order_and_no_larger_than_asked():
    groups = list(plan_groups([4, 5, 30, 0, 2, 9, 1], 10))

    assert groups == [range(2), range(2, 3), range(3, 5), range(5, 7)]
    assert list(plan_groups([])) == []
