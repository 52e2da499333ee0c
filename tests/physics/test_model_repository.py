"""The committed model repository, on the server in this process."""

from pathlib import Path

import numpy as np
import pytest

import sonic_tracking
from exatrkx_pipeline import bundled_weights, load_weights
from mock_server import MockServer
from sonic_client import BatchingConfig, Client, ClientConfig, Request
from sonic_tracking.bench import read_features

REPOSITORY = Path(__file__).parents[2] / "model_repository"
SAMPLE = sonic_tracking.SAMPLE / "events.root"


@pytest.fixture(scope="module")
def pipeline():
    return load_weights(bundled_weights())


@pytest.fixture(scope="module")
def events(pipeline):
    """Three events, and some with too few points for any edge, or with none."""
    return [
        *read_features([str(SAMPLE)], pipeline.config.features.scales, max_events=3),
        np.zeros((0, 3), dtype=np.float32),
        np.array([[0.03, -0.9, -0.5], [0.9, 0.9, 0.9]], dtype=np.float32),
    ]


@pytest.fixture(scope="module")
def server():
    with MockServer(repository=REPOSITORY) as running:
        yield running


@pytest.mark.parametrize("model", ["exatrkx", "exatrkx_batch", "exatrkx_ensemble"])
def test_labels_are_those_of_the_pipeline_itself(server, pipeline, events, model):
    config = ClientConfig(
        servers=server.url,
        model_name=model,
        layout="concat" if model == "exatrkx_batch" else "per_event",
        batching=BatchingConfig(max_events=2),
    )

    with Client(config) as client:
        requests = (Request(i, {"FEATURES": event}) for i, event in enumerate(events))
        found = [outcome.outputs["LABELS"] for outcome in client.map(requests)]

    assert len(found) == len(events)
    for labels, event in zip(found, events, strict=True):
        np.testing.assert_array_equal(labels, pipeline.labels(event))
