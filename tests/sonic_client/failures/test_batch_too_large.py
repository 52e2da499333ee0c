"""A message above the server's limit of bytes: smaller ones, from then on."""

import numpy as np

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    Failure,
    Request,
    RequestTooLargeError,
    WindowConfig,
)

X, Y = Served("X", "FP32", (-1, 3)), Served("Y", "FP32", (-1, 3))
SPLITS = Served("ROW_SPLITS", "INT64", (-1,))
LIMIT = 20_000


def echo(tensors):
    return {"Y": tensors["X"]}


def run(config_for, sizes):
    model = Model("label", [X, SPLITS], [Y], echo)
    requests = [
        Request(i, {"X": np.full((n, 3), i, np.float32)}) for i, n in enumerate(sizes)
    ]
    with MockServer([model], max_message_bytes=LIMIT) as server:
        config = config_for(
            server,
            layout="concat",
            batching=BatchingConfig(max_events=16, max_delay_s=60.0),
            window=WindowConfig(max_requests=1),
        )
        with Client(config) as client:
            return list(client.map(requests)), client.statistics()


def test_batches_shrink_to_what_the_server_names_once(config_for):
    outcomes, statistics = run(config_for, [300] * 64)  # 3.6 kB each

    assert [o.request_id for o in outcomes] == list(range(64))
    assert all((o.outputs["Y"] == o.request_id).all() for o in outcomes)
    assert statistics.tries["RESOURCE_EXHAUSTED"] == 1
    # Five of them and the names fit into 20 kB.
    assert statistics.tries["OK"] == statistics.requests
    assert 13 <= statistics.requests <= 17


def test_an_event_that_is_too_large_by_itself_fails_alone(config_for):
    outcomes, _ = run(config_for, [100, 100, 2000, 100, 100])

    assert [isinstance(o, Answer) for o in outcomes] == [True, True, False, True, True]
    assert isinstance(outcomes[2], Failure)
    assert isinstance(outcomes[2].error, RequestTooLargeError)
