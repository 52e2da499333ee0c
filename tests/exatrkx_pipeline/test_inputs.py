"""Quantities of edges against their formulas, evaluated in double precision."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.config import EdgeInput, FeatureConfig
from exatrkx_pipeline.stages.inputs import Cylindrical, edge_inputs

NAMES = get_args(EdgeInput)
FEATURES = FeatureConfig(names=("r", "phi", "z"), scales=(1000.0, math.pi, 1000.0))


def graph(n_points, n_edges, seed):
    """Points all over a detector; every other edge joins two that are close."""
    rng = np.random.default_rng(seed)
    columns = (
        rng.uniform(0.03, 1.0, n_points),
        rng.uniform(-1.0, 1.0, n_points),
        rng.uniform(-3.0, 3.0, n_points),
    )
    points = np.column_stack(columns)
    points[1::2] = points[::2] + rng.normal(0.0, 1e-3, points[::2].shape)
    ends = rng.integers(0, n_points, (2, n_edges))
    ends[1, ::2] = ends[0, ::2] ^ 1
    return points.astype(np.float32), ends


def by_formula(points, ends):
    """Columns by name; r, z in m, phi in rad."""
    r, phi, z = points.astype(np.float64).T * np.array([[1.0], [math.pi], [1.0]])
    eta = np.arcsinh(z / np.maximum(r, 1e-3))
    outer, inner = ends
    dr, dz = r[outer] - r[inner], z[outer] - z[inner]
    dphi = np.remainder(phi[outer] - phi[inner] + math.pi, 2 * math.pi) - math.pi
    span = np.sqrt(dr**2 + 4 * r[outer] * r[inner] * np.sin(dphi / 2) ** 2)
    steep = np.where(np.abs(dr) < 1e-3, np.copysign(1e-3, dr), dr)
    return {
        "dr": dr,
        "dphi": dphi,
        "dz": dz,
        "deta": eta[outer] - eta[inner],
        "curvature": np.clip(2 * np.sin(dphi) / np.maximum(span, 1e-3), -10.0, 10.0),
        "z0": np.clip(z[inner] - r[inner] * dz / steep, -2.0, 2.0),
    }


@pytest.mark.parametrize("name", NAMES)
def test_edge_input_is_its_formula(name):
    points, ends = graph(400, 3_000, 1)
    cylindrical = Cylindrical.of(torch.from_numpy(points), FEATURES)

    found = edge_inputs(cylindrical, torch.from_numpy(ends), (name,)).numpy()[:, 0]

    # Where a short distance is divided by, rounding of the coordinates is seen.
    expected = by_formula(points, ends)[name]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
    assert np.median(np.abs(found - expected)) < 1e-6


@given(st.permutations(NAMES), st.integers(0, 6), st.integers(0, 600))
def test_columns_are_as_asked_for(names, n_names, n_edges):
    points, ends = graph(40, n_edges, 2)
    cylindrical = Cylindrical.of(torch.from_numpy(points), FEATURES)
    edge_index = torch.from_numpy(ends)

    found = edge_inputs(cylindrical, edge_index, tuple(names[:n_names]))

    assert found.shape == (n_edges, n_names)
    each = [edge_inputs(cylindrical, edge_index, (name,)) for name in names[:n_names]]
    assert torch.equal(found, torch.cat([found[:, :0], *each], dim=1))


def test_an_edge_has_the_same_inputs_whatever_it_came_with():
    points, ends = graph(200, 5_000, 3)
    cylindrical = Cylindrical.of(torch.from_numpy(points), FEATURES)
    whole = edge_inputs(cylindrical, torch.from_numpy(ends), NAMES)

    before = torch.get_num_threads()
    try:
        for n_threads, first in ((1, 0), (2, 777), (3, 4_999)):
            torch.set_num_threads(n_threads)
            some = edge_inputs(cylindrical, torch.from_numpy(ends[:, first:]), NAMES)
            assert torch.equal(some, whole[first:])
    finally:
        torch.set_num_threads(before)
