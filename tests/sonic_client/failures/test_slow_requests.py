"""Hedged requests get their own answers, over every transport and layout."""

from contextlib import ExitStack

import numpy as np
import pytest

from mock_server import FaultPlan, MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    ClientConfig,
    HedgeConfig,
    Request,
    ServerConfig,
)

X, Y = Served("X", "FP32", (-1,)), Served("Y", "FP32", (-1,))
SPLITS = Served("ROW_SPLITS", "INT64", (-1,))


def double(tensors):
    return {"Y": tensors["X"] * 2}


MODELS = [Model("m", [X], [Y], double), Model("m_batch", [X, SPLITS], [Y], double)]
WAYS = {
    "grpc": ("grpc", {}),
    "http": ("http", {}),
    "shared memory": ("grpc", {"shared_memory": "auto"}),
}


@pytest.mark.parametrize("layout", ["per_event", "concat"])
@pytest.mark.parametrize("way", WAYS)
def test_every_hedged_request_gets_its_own_answer(way, layout):
    """A server hangs at some requests, until the client ends the calls."""
    scheme, settings = WAYS[way]
    # However the requests are shared out, one of the servers hangs.
    plans = FaultPlan().on(40, 41, 45).hang(), FaultPlan().on(200).hang()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(MockServer(MODELS, http_port=0, faults=plan))
            for plan in plans
        ]
        urls = [each.http_url if scheme == "http" else each.url for each in servers]
        config = ClientConfig(
            servers=[ServerConfig(url=url, **settings) for url in urls],
            model_name="m" if layout == "per_event" else "m_batch",
            layout=layout,
            batching=BatchingConfig(max_events=2),
            hedge=HedgeConfig(enabled=True, max_extra=0.5),
        )
        with Client(config) as client:
            outcomes = list(
                client.map(
                    Request(n, {"X": np.full(n % 7 + 1, n, np.float32)})
                    for n in range(300)
                )
            )
            counted = client.statistics()

    assert [outcome.request_id for outcome in outcomes] == list(range(300))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    for n, outcome in enumerate(outcomes):
        np.testing.assert_array_equal(outcome.outputs["Y"], np.full(n % 7 + 1, 2.0 * n))
    assert counted.hedges >= 1
    assert counted.hedges_won >= 1
    assert counted.tries["OK"] + counted.tries["LOCALLY_CANCELLED"] == (
        counted.requests + counted.hedges
    )
