"""Overload and too large have one status; above 2 GiB nothing may be copied."""

import tracemalloc

import grpc
import numpy as np
import pytest

from mock_server import MockServer, Model, ModelError
from mock_server import TensorSpec as Served
from sonic_client import (
    Client,
    ClientConfig,
    Failure,
    Request,
    RequestTooLargeError,
    RetryConfig,
    ServerConfig,
    ServerOverloadedError,
    TriesExhaustedError,
)

X = [Served("X", "FP32", (-1, 3))]
ECHO = Model("echo", X, X, dict)


class Refusing:
    """Answers RESOURCE_EXHAUSTED with a text of one's choice; counts the calls."""

    def __init__(self, text):
        self.text, self.n_calls = text, 0

    def __call__(self, arrival):
        self.n_calls += 1
        raise ModelError(grpc.StatusCode.RESOURCE_EXHAUSTED, self.text)


def outcome_of(server, array, **settings):
    config = ClientConfig(
        servers=ServerConfig(url=server.url, **settings),
        model_name="echo",
        retry=RetryConfig(allowed_tries=3, first_wait_s=0.0),
    )
    with Client(config) as client:
        (outcome,) = client.map([Request("7", {"X": array})])
    return outcome


def test_an_overload_is_waited_for():
    faults = Refusing("the queue is long")
    with MockServer([ECHO], faults=faults) as server:
        failure = outcome_of(server, np.zeros((1, 3), np.float32))

    assert isinstance(failure, Failure)
    assert isinstance(failure.error, TriesExhaustedError)
    assert isinstance(failure.error.failures[-1], ServerOverloadedError)
    assert faults.n_calls == 3


def test_what_is_too_large_is_not_sent_again():
    faults = Refusing("SERVER: Received message larger than max (8388608 vs. 4194304)")
    with MockServer([ECHO], faults=faults) as server:
        failure = outcome_of(server, np.zeros((1, 3), np.float32))

    assert isinstance(failure.error, RequestTooLargeError)
    assert faults.n_calls == 1


def test_above_2_gib_nothing_is_sent_and_nothing_copied():
    arrivals = []
    huge = np.broadcast_to(np.float32(0), (190_000_000, 3))  # 2.1 GiB, were it real

    with MockServer([ECHO], faults=arrivals.append) as server:
        tracemalloc.start()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        failure = outcome_of(server, huge)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert isinstance(failure.error, RequestTooLargeError)
    assert "2280000000 bytes" in str(failure.error)
    assert arrivals == []
    assert peak - before < 50 * 2**20


@pytest.mark.parametrize(("limit", "kind"), [(1199, Failure), (1200, object)])
def test_the_limit_can_be_that_of_a_proxy(limit, kind):
    with MockServer([ECHO]) as server:
        array = np.zeros((100, 3), np.float32)
        outcome = outcome_of(server, array, max_message_bytes=limit)

    assert isinstance(outcome, Failure) == (kind is Failure)
