"""Our client at an MLServer: KServe v2 without Triton's extensions."""

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    Client,
    ClientConfig,
    ModelNotFoundError,
    Request,
    RequestTooLargeError,
    RetryConfig,
    TensorMismatchError,
)

pytestmark = [pytest.mark.mlserver, pytest.mark.timeout(120)]

PROTOCOLS = ("grpc", "http")


@pytest.fixture(params=PROTOCOLS)
def url(request, server):
    return getattr(server, request.param)


def client_of(*urls, model="label", **settings):
    return Client(ClientConfig(servers=urls, model_name=model, **settings))


def rows(number, n_rows=2):
    return {"FEATURES": np.full((n_rows, 3), number, np.float32)}


def test_model_is_described_without_a_configuration(url):
    with client_of(url) as client:
        metadata = client.metadata

    assert [str(spec) for spec in metadata.inputs] == ["FEATURES FP32[-1,3]"]
    assert [str(spec) for spec in metadata.outputs] == ["LABELS INT64[-1]"]
    assert metadata.max_batch_size == 0
    assert metadata.parameters == {}


def test_events_are_answered_in_order_empty_ones_included(url):
    requests = [Request(i, rows(i, n_rows=i % 3)) for i in range(30)]

    with client_of(url) as client:
        outcomes = list(client.map(requests))

    assert [each.request_id for each in outcomes] == list(range(30))
    assert [each.outputs["LABELS"].tolist() for each in outcomes] == [
        [i] * (i % 3) for i in range(30)
    ]


def test_every_datatype_comes_back(url):
    tensors = {
        "FP32": np.float32([0.1, np.pi]),
        "FP64": np.float64([0.1, -1e300]),
        "INT64": np.int64([-(2**63), 2**63 - 1]),
        "UINT8": np.uint8([0, 255]),
        "BOOL": np.bool_([True, False]),
        "BYTES": np.array([b"tracks", "\u00fcber".encode()], dtype=object),
    }

    with client_of(url, model="echo") as client:
        outputs = client.infer(tensors)

    for name, array in tensors.items():
        assert outputs[name].dtype == array.dtype
        assert outputs[name].tolist() == array.tolist()


def test_model_that_fails_is_told_with_its_text(url):
    with client_of(url, retry=RetryConfig(allowed_tries=2)) as client:
        (outcome,) = client.map([Request(0, rows(-1))])

    assert "negative radius" in str(outcome.error)
    assert "\n" not in str(outcome.error)


def test_unknown_model_is_named(url):
    with pytest.raises(ModelNotFoundError, match="nolabel"):
        client_of(url, model="nolabel", startup_timeout_s=5.0).__enter__()


def test_wrong_shape_is_refused_before_anything_is_sent(url):
    with client_of(url) as client, pytest.raises(TensorMismatchError):
        client.infer({"FEATURES": np.zeros((2, 4), np.float32)})


def test_a_message_above_4_mb_is_too_large_over_grpc(server):
    with client_of(server.grpc) as client:
        (outcome,) = client.map([Request(0, rows(1, n_rows=400_000))])

    assert isinstance(outcome.error, RequestTooLargeError)


def test_another_server_answers_when_it_dies(start):
    def label(tensors):
        return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}

    mock_model = Model(
        "label",
        [Served("FEATURES", "FP32", (-1, 3))],
        [Served("LABELS", "INT64", (-1,))],
        label,
    )

    def requests(running):
        for i in range(200):
            if i == 50:
                running.process.kill()
            yield Request(i, rows(i))

    with (
        start() as running,
        MockServer([mock_model]) as mock,
        client_of(running.grpc, mock.url) as client,
    ):
        outcomes = list(client.map(requests(running)))

    assert all(isinstance(each, Answer) for each in outcomes), outcomes
    assert [each.outputs["LABELS"][0] for each in outcomes] == list(range(200))


def test_no_counters_of_the_server_are_no_error(url):
    with client_of(url) as client:
        client.infer(rows(1))
        summary = client.summary()

    assert summary.split() is None
    assert "queue" not in str(summary)
