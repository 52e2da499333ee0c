"""A batch larger than the server takes: told once, and remembered."""

import grpc
import numpy as np
import pytest

from mock_server import Model, ModelError
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    Failure,
    RejectedRequestError,
    Request,
    WindowConfig,
)


class Stricter:
    """A model that takes fewer at once than its configuration says."""

    def __init__(self, max_batch_size):
        self.max_batch_size = max_batch_size
        self.batch_sizes = []

    def __call__(self, tensors):
        n = len(tensors["X"])
        self.batch_sizes.append(n)
        if n > self.max_batch_size:
            raise ModelError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"inference request batch-size must be <= {self.max_batch_size} "
                "for 'label'",
            )
        return {"Y": tensors["X"].sum(axis=1, keepdims=True)}


@pytest.fixture
def stricter(serve):
    function = Stricter(4)
    x, y = Served("X", "FP32", (3,)), Served("Y", "FP32", (1,))
    model = Model("label", [x], [y], function, max_batch_size=64)
    return function, serve(models=[model])


def events(n_events, n_rows=1):
    return [
        Request(number, {"X": np.full((n_rows, 3), number, np.float32)})
        for number in range(n_events)
    ]


def test_it_is_split_to_what_the_server_takes_and_that_is_remembered(
    stricter, config_for
):
    function, server = stricter
    config = config_for(
        server,
        layout="rectangular",
        batching=BatchingConfig(max_events=10, max_delay_s=60.0),
        window=WindowConfig(max_requests=1),
    )

    with Client(config) as client:
        first = list(client.map(events(20)))
        again = list(client.map(events(20)))

    for outcomes in (first, again):
        assert [float(o.outputs["Y"][0, 0]) for o in outcomes] == [
            3.0 * number for number in range(20)
        ]
    refused = [n for n in function.batch_sizes if n > 4]
    assert len(refused) == 1
    assert function.batch_sizes[-5:] == [4] * 5


def test_a_single_request_above_it_is_cut_and_made_whole(stricter, config_for):
    function, server = stricter
    config = config_for(server, layout="rectangular")

    with Client(config) as client:
        (answer,) = client.map(events(1, n_rows=11))

    assert isinstance(answer, Answer)
    assert answer.outputs["Y"].shape == (11, 1)
    assert function.batch_sizes == [11, 4, 4, 3]


def test_without_a_batch_dimension_of_its_own_a_request_is_not_cut(
    stricter, config_for
):
    function, server = stricter

    with Client(config_for(server, layout="per_event")) as client:
        (failure,) = client.map(events(1, n_rows=11))

    assert isinstance(failure, Failure)
    assert isinstance(failure.error, RejectedRequestError)
    assert function.batch_sizes == [11]
