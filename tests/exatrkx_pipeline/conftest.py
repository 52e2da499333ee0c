"""Small pipelines and synthetic events."""

import math

import numpy as np
import pytest
import torch

from exatrkx_pipeline.config import (
    EmbeddingConfig,
    FeatureConfig,
    FilterConfig,
    GnnConfig,
    GraphConfig,
    PipelineConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.events import TrainingEvent

NODES = ("r", "cos_phi", "sin_phi", "z", "eta")
EDGES = ("dr", "dphi", "dz", "deta", "curvature", "z0")


@pytest.fixture(scope="session")
def small_config():
    """Every stage present, sizes small: for behaviour, not for physics."""
    return PipelineConfig(
        features=FeatureConfig(
            names=("r", "phi", "z"), scales=(1000.0, math.pi, 1000.0)
        ),
        embedding=EmbeddingConfig(
            node_inputs=NODES, hidden=16, n_layers=2, dim=8, layer_norm=True
        ),
        graph=GraphConfig(r_val=0.15),
        filter=FilterConfig(
            node_inputs=NODES, edge_inputs=EDGES, hidden=16, n_layers=3, filter_cut=0.4
        ),
        gnn=GnnConfig(
            architecture="InteractionGNN",
            node_inputs=NODES,
            edge_inputs=EDGES,
            hidden=16,
            n_graph_iters=2,
            n_edge_layers=2,
            n_node_layers=2,
        ),
        track_building=TrackBuildingConfig(method="junction_removal", score_cut=0.3),
    )


@pytest.fixture(scope="session")
def small_pipeline(small_config):
    torch.manual_seed(5)
    return Pipeline.untrained(small_config)


def random_features(n_points, seed=0):
    """Scaled r, phi, z of points spread over the detector."""
    rng = np.random.default_rng(seed)
    columns = (
        rng.uniform(0.03, 1.0, n_points),
        rng.uniform(-1.0, 1.0, n_points),
        rng.uniform(-3.0, 3.0, n_points),
    )
    return np.column_stack(columns).astype(np.float32)


@pytest.fixture(scope="session")
def features():
    return random_features


def particles_in_straight_lines(n_tracks=12, n_layers=8, seed=0):
    """Particles from the origin that cross cylinders in straight lines."""
    rng = np.random.default_rng(seed)
    radius = np.linspace(30.0, 1000.0, n_layers)
    phi = rng.uniform(-np.pi, np.pi, n_tracks)
    slope = rng.uniform(-1.5, 1.5, n_tracks)
    direction = np.column_stack((np.cos(phi), np.sin(phi), slope))
    xyz = (radius[None, :, None] * direction[:, None]).reshape(-1, 3)
    return TrainingEvent.from_arrays(
        xyz + rng.normal(0.0, 0.05, xyz.shape),
        np.repeat(np.arange(n_tracks), n_layers),
        momentum_gev=2.0 * direction,
        vertex_mm=np.zeros((n_tracks, 3)),
    )


@pytest.fixture(scope="session")
def straight_tracks():
    return particles_in_straight_lines
