import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.config import FeatureConfig
from exatrkx_pipeline.ordering import outward_order

FEATURES = FeatureConfig(names=("r", "phi", "z"), scales=(1000.0, math.pi, 500.0))


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
