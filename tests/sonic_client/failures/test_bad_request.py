"""Bad shape, type or name: fatal at once, with one call or none."""

import numpy as np
import pytest

from mock_server import FaultPlan
from sonic_client import Client, RejectedRequestError, Request, TensorMismatchError


@pytest.mark.parametrize(
    "inputs",
    [
        {"FEATURES": np.zeros((2, 4), np.float32)},
        {"FEATURES": np.zeros((2, 3), np.float64)},
        {"FEATURE": np.zeros((2, 3), np.float32)},
        {},
    ],
    ids=["shape", "type", "name", "missing"],
)
def test_what_the_metadata_rules_out_is_not_sent(serve, config_for, inputs):
    arrivals = []

    with Client(config_for(serve(arrivals.append))) as client:
        (failure,) = client.map([Request(0, inputs)])

    assert isinstance(failure.error, TensorMismatchError)
    assert arrivals == []


def test_what_the_server_rejects_is_sent_once_and_to_no_other(
    serve, config_for, requests_of
):
    text = "[request id: 0] unexpected shape for input 'FEATURES' for model 'label'"
    servers = [
        serve(FaultPlan().on().refuse("INVALID_ARGUMENT", text)) for _ in range(2)
    ]

    with Client(config_for(*servers, retry={"allowed_tries": 7})) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, RejectedRequestError)
    assert failure.tries == 1
    assert client.statistics().tries == {"INVALID_ARGUMENT": 1}
