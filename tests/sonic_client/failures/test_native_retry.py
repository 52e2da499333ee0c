"""gRPC's own retry works up to 256 KiB only: it is off, and ours counts every try."""

import grpc
import numpy as np
import pytest

from mock_server import MockServer, Model, ModelError
from mock_server import TensorSpec as Served
from sonic_client import Answer, Client, ClientConfig, Request, RetryConfig

X = [Served("X", "FP32", (-1,))]


@pytest.mark.parametrize("n_bytes", [4, 255 * 1024, 257 * 1024, 8 * 2**20])
def test_requests_of_any_size_are_tried_as_often(n_bytes):
    calls = []

    def refuse_twice(arrival):
        calls.append(arrival.request_id)
        if len(calls) < 3:
            raise ModelError(grpc.StatusCode.UNAVAILABLE, "try later")

    with MockServer([Model("echo", X, X, dict)], faults=refuse_twice) as server:
        config = ClientConfig(
            servers=server.url,
            model_name="echo",
            retry=RetryConfig(allowed_tries=3, first_wait_s=0.0),
        )
        with Client(config) as client:
            request = Request("7", {"X": np.zeros(n_bytes // 4, np.float32)})
            (answer,) = client.map([request])

    assert isinstance(answer, Answer)
    assert answer.tries == len(calls) == 3
