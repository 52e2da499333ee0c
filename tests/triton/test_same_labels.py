"""One event gets one set of labels, by every way there is to compute it."""

import numpy as np
import pytest

from exatrkx_pipeline import bundled_weights
from exatrkx_pipeline.tracks.track_building import number_by_first_appearance
from mock_server import MockServer
from mock_server.tracking import tracking_models
from sonic_client import BatchingConfig, Client, ClientConfig, Request
from sonic_client.servers.checks import differing_parameters

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

DATA = ["sample", "lrt", "sim_pu0"]
MODELS = ["exatrkx", "exatrkx_batch", "exatrkx_ensemble"]
ODD = [
    np.zeros((0, 3), dtype=np.float32),
    np.full((1, 3), 0.1, dtype=np.float32),
    np.array([[0.03, -0.9, -0.5], [0.9, 0.9, 0.9]], dtype=np.float32),
]
"""No point at all, and too few or too distant ones for any edge."""


def served_labels(url, model, events):
    layout = "concat" if model == "exatrkx_batch" else "per_event"
    config = ClientConfig(
        servers=url,
        model_name=model,
        layout=layout,
        batching=BatchingConfig(max_events=3),
    )
    with Client(config) as client:
        requests = (Request(i, {"FEATURES": event}) for i, event in enumerate(events))
        return [outcome.outputs["LABELS"] for outcome in client.map(requests)]


def assert_same_partitions(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(
            number_by_first_appearance(one), number_by_first_appearance(other)
        )


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("model", MODELS)
def test_triton_gives_the_labels_of_the_pipeline_itself(
    triton, pipeline, events_of, name, model
):
    events = [*events_of(name), *ODD]

    found = served_labels(triton.url, model, events)

    assert_same_partitions(found, [pipeline.labels(event) for event in events])


def test_the_same_weights_are_no_difference_to_the_mock(triton):
    """Only Triton's repository says where the weights are."""
    with MockServer(tracking_models(bundled_weights())) as mock:
        one, other = (described(url, "exatrkx") for url in (triton.url, mock.url))

    assert one.parameters["weights"] == "bundled"
    assert differing_parameters(one, other) == {}
    assert differing_parameters(other, one) == {}


def described(url, model):
    with Client(ClientConfig(servers=url, model_name=model)) as client:
        return client.metadata
