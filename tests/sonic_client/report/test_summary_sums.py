"""The client's counters beside those of the server, which counted for itself."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    BatchingConfig,
    Client,
    ClientConfig,
    JobSummary,
    Request,
    ServerConfig,
)

X, Y = Served("X", "FP32", (-1, 3)), Served("Y", "FP32", (-1, 3))
SPLITS = Served("ROW_SPLITS", "INT64", (-1,))


def echo_unless_13(tensors):
    if (tensors["X"] == 13).any():
        raise ValueError("no 13 here")
    return {"Y": tensors["X"]}


@pytest.fixture
def server():
    models = [
        Model("echo", [X], [Y], echo_unless_13),
        Model("echo_batch", [X, SPLITS], [Y], echo_unless_13),
    ]
    with MockServer(models) as server:
        yield server


@pytest.mark.parametrize(
    ("model", "layout"), [("echo", "per_event"), ("echo_batch", "concat")]
)
def test_sums_are_those_of_the_server(server, model, layout):
    config = ClientConfig(
        servers=server.url,
        model_name=model,
        layout=layout,
        batching=BatchingConfig(max_events=8),
    )
    requests = [
        Request(number, {"X": np.full((number % 5 + 1, 3), number, np.float32)})
        for number in range(50)
    ]

    with Client(config) as client:
        outcomes = list(client.map(requests))
    summary = client.summary()

    (interval,) = summary.servers.values()
    spent, counted = interval.spent, summary.client
    assert spent.requests == counted.requests == counted.tries["OK"]
    assert spent.executions == sum(counted.tries.values())
    n_refused = sum(n for status, n in counted.tries.items() if status != "OK")
    assert spent.failed_requests == n_refused > 0
    assert (counted.events, counted.failed_events) == (50, 1)
    assert counted.failed_ids == (13,)
    assert counted.points == sum(o.request_id % 5 + 1 for o in outcomes) - (13 % 5 + 1)
    assert counted.bytes_received == counted.points * 12
    assert sum(counted.servers.values()) == counted.requests
    split = summary.split()
    assert 0.0 < split.compute_infer_s < counted.latency.mean_s


def test_two_workers_of_one_server_do_not_count_it_twice(server):
    config = ClientConfig(servers=server.url, model_name="echo")
    requests = [Request(n, {"X": np.zeros((2, 3), np.float32)}) for n in range(10)]

    summaries = []
    for _ in range(2):
        with Client(replace(config)) as client:
            list(client.map(requests))
        summaries.append(client.summary())
    total = summaries[0] + summaries[1]

    assert total.client.requests == 20
    assert total.servers[server.url].spent.requests == 20


@pytest.fixture(params=["grpc", "http"])
def url(request):
    with MockServer([Model("echo", [X], [Y], echo_unless_13)], http_port=0) as server:
        yield server.url if request.param == "grpc" else server.http_url


def summary_of(url, compression):
    config = ClientConfig(
        servers=ServerConfig(url=url, compression=compression), model_name="echo"
    )
    with Client(config) as client:
        outputs = client.infer({"X": np.zeros((1000, 3), np.float32)})
    assert outputs["Y"].shape == (1000, 3)
    return client.summary()


def test_what_compression_saves_is_in_the_summary_and_adds_up(url):
    summary = summary_of(url, "gzip")

    (report,) = summary.compression.values()
    assert report.n_messages == 1
    assert report.plain_bytes > 12_000
    assert report.wire_bytes < 1_000
    assert (f"compression to {url}", str(report)) in summary.rows()
    assert JobSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    assert (summary + summary).compression[url].plain_bytes == 2 * report.plain_bytes


def test_without_compression_the_summary_does_not_speak_of_it(url):
    summary = summary_of(url, "none")

    assert summary.compression == {}
    assert "compression" not in str(summary)
