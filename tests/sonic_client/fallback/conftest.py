"""A model with a label a row, as a server and as a function."""

import numpy as np
import pytest

from mock_server import MockServer, Model, TensorSpec
from sonic_client import (
    ClientConfig,
    FallbackConfig,
    HealthConfig,
    Request,
    RetryConfig,
)

FEATURES = TensorSpec("FEATURES", "FP32", (-1, 3))
LABELS = TensorSpec("LABELS", "INT64", (-1,))


def label_rows(tensors):
    """Label every row with its first feature."""
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


@pytest.fixture
def label_function():
    return label_rows


@pytest.fixture
def make_server():
    """Make a server that is not started."""

    def make(faults=None, function=label_rows):
        model = Model("label", [FEATURES], [LABELS], function, instances=4)
        return MockServer([model], faults=faults)

    return make


@pytest.fixture
def config_for():
    """Configure a client of one server, with short pauses."""

    def configure(server, retry=(), **fallback):
        return ClientConfig(
            servers=server.url,
            model_name="label",
            retry=RetryConfig(**{"first_wait_s": 0.0, **dict(retry)}),
            health=HealthConfig(first_pause_s=0.01, max_pause_s=0.05),
            fallback=FallbackConfig(**fallback),
            startup_timeout_s=5.0,
        )

    return configure


@pytest.fixture
def requests_of():
    """Requests 0, 1, ..., each of two rows that hold its number."""

    def requests(n_requests):
        for number in range(n_requests):
            features = np.full((2, 3), number, np.float32)
            yield Request(number, {"FEATURES": features})

    return requests
