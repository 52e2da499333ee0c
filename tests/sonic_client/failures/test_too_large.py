"""Messages that are too large: refused here, split, or remembered as a bound."""

import tracemalloc

import grpc
import numpy as np
import pytest

from mock_server import FaultPlan, MockServer, Model, ModelError
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    Failure,
    RejectedRequestError,
    Request,
    RequestTooLargeError,
    ServerConfig,
    WindowConfig,
)


def label_rows(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


ONE_BY_ONE = WindowConfig(max_requests=1)


def outcome_of(config, array):
    with Client(config) as client:
        (outcome,) = client.map([Request("7", {"FEATURES": array})])
    return outcome


def test_a_message_that_is_too_large_is_not_sent_again(serve, config_for):
    """Though the status is that of an overload."""
    arrivals = []
    text = "SERVER: Received message larger than max (8388608 vs. 4194304)"
    plan = FaultPlan().on().call(arrivals.append).on()
    server = serve(plan.refuse("RESOURCE_EXHAUSTED", text))

    failure = outcome_of(config_for(server), np.zeros((1, 3), np.float32))

    assert isinstance(failure.error, RequestTooLargeError)
    assert len(arrivals) == 1


def test_above_2_gib_nothing_is_sent_and_nothing_copied(serve, config_for):
    arrivals = []
    huge = np.broadcast_to(np.float32(0), (190_000_000, 3))  # 2.1 GiB, were it real
    config = config_for(serve(arrivals.append))

    tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    failure = outcome_of(config, huge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(failure.error, RequestTooLargeError)
    assert "2280000000 bytes" in str(failure.error)
    assert arrivals == []
    assert peak - before < 50 * 2**20


@pytest.mark.parametrize(("limit", "kind"), [(1199, Failure), (1200, Answer)])
def test_the_limit_can_be_that_of_a_proxy(serve, config_for, limit, kind):
    server = ServerConfig(url=serve().url, max_message_bytes=limit)

    outcome = outcome_of(config_for(server), np.zeros((100, 3), np.float32))

    assert isinstance(outcome, kind)


def outcomes_at_a_server_of_20_kb(config_for, sizes):
    x, y = Served("X", "FP32", (-1, 3)), Served("Y", "FP32", (-1, 3))
    splits = Served("ROW_SPLITS", "INT64", (-1,))
    model = Model("label", [x, splits], [y], lambda tensors: {"Y": tensors["X"]})
    requests = [
        Request(i, {"X": np.full((n, 3), i, np.float32)}) for i, n in enumerate(sizes)
    ]
    with MockServer([model], max_message_bytes=20_000) as server:
        config = config_for(
            server,
            layout="concat",
            batching=BatchingConfig(max_events=16, max_delay_s=60.0),
            window=ONE_BY_ONE,
        )
        with Client(config) as client:
            return list(client.map(requests)), client.statistics()


def test_batches_shrink_once_to_the_bytes_that_the_server_names(config_for):
    outcomes, statistics = outcomes_at_a_server_of_20_kb(config_for, [300] * 64)

    assert [o.request_id for o in outcomes] == list(range(64))
    assert all((o.outputs["Y"] == o.request_id).all() for o in outcomes)
    assert statistics.tries["RESOURCE_EXHAUSTED"] == 1
    # Five events of 3.6 kB and the tensors' names fit into 20 kB.
    assert statistics.tries["OK"] == statistics.requests
    assert 13 <= statistics.requests <= 17


def test_an_event_that_is_too_large_by_itself_fails_alone(config_for):
    sizes = [100, 100, 2000, 100, 100]

    outcomes, _ = outcomes_at_a_server_of_20_kb(config_for, sizes)

    assert [isinstance(o, Answer) for o in outcomes] == [True, True, False, True, True]
    assert isinstance(outcomes[2].error, RequestTooLargeError)


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


def test_batches_shrink_once_to_the_batch_size_that_the_server_names(
    stricter, config_for
):
    function, server = stricter
    config = config_for(
        server,
        layout="rectangular",
        batching=BatchingConfig(max_events=10, max_delay_s=60.0),
        window=ONE_BY_ONE,
    )

    with Client(config) as client:
        first = list(client.map(events(20)))
        again = list(client.map(events(20)))

    for outcomes in (first, again):
        assert [float(o.outputs["Y"][0, 0]) for o in outcomes] == [
            3.0 * number for number in range(20)
        ]
    assert len([n for n in function.batch_sizes if n > 4]) == 1
    assert function.batch_sizes[-5:] == [4] * 5


@pytest.mark.parametrize(
    ("layout", "batch_sizes"), [("rectangular", [11, 4, 4, 3]), ("per_event", [11])]
)
def test_a_single_request_is_cut_only_along_a_batch_dimension(
    stricter, config_for, layout, batch_sizes
):
    function, server = stricter

    with Client(config_for(server, layout=layout)) as client:
        (outcome,) = client.map(events(1, n_rows=11))

    assert function.batch_sizes == batch_sizes
    if layout == "rectangular":
        assert outcome.outputs["Y"].shape == (11, 1)
    else:
        assert isinstance(outcome.error, RejectedRequestError)


TOO_LARGE_FOR_ONE = {
    "grpc": (
        "RESOURCE_EXHAUSTED",
        "SERVER: Received message larger than max (9 vs. 4)",
    ),
    "newer Triton": (
        400,
        "Request JSON size of 9 bytes exceeds the maximum allowed value of 4 bytes. "
        "Use --http-max-input-size to increase the limit.",
    ),
    "proxy": (413, "<html><title>413 Request Entity Too Large</title></html>"),
}


@pytest.mark.parametrize(
    ("code", "text"), TOO_LARGE_FOR_ONE.values(), ids=TOO_LARGE_FOR_ONE
)
@pytest.mark.parametrize("other", ["server", "fallback"])
def test_an_event_too_large_for_one_server_is_answered_elsewhere(
    serve, config_for, requests_of, assert_whole, code, text, other
):
    arrivals = []
    plan = FaultPlan().on().call(arrivals.append).on().refuse(code, text)
    small = serve(plan, http_port=0)
    first = small.url if isinstance(code, str) else small.http_url
    servers = [ServerConfig(url=first, preferred=True)]
    if other == "server":
        servers.append(ServerConfig(url=serve().url))
    fallback = label_rows if other == "fallback" else None

    with Client(config_for(*servers), fallback=fallback) as client:
        outcomes = list(client.map(requests_of(30)))

    assert_whole(outcomes, 30)
    assert arrivals
    # It is no fault of the server's.
    assert first + " open" not in client.statistics().server_changes
    if other == "server":  # one that takes them is asked first, once that is known
        assert len(arrivals) <= 16


def test_an_event_too_large_for_all_servers_is_given_up(serve, config_for):
    refusal = TOO_LARGE_FOR_ONE["grpc"]
    servers = [serve(FaultPlan().on().refuse(*refusal)) for _ in "ab"]

    failure = outcome_of(config_for(*servers), np.zeros((1, 3), np.float32))

    assert isinstance(failure.error, RequestTooLargeError)
    assert set(failure.servers) <= {server.url for server in servers}


def test_the_limit_of_one_server_does_not_shrink_the_messages_for_another(config_for):
    n_rows = []

    def copy(tensors):
        n_rows.append(len(tensors["X"]))
        return {"Y": tensors["X"]}

    x, y = Served("X", "FP32", (-1, 3)), Served("Y", "FP32", (-1, 3))
    splits = Served("ROW_SPLITS", "INT64", (-1,))
    requests = [Request(i, {"X": np.full((300, 3), i, np.float32)}) for i in range(64)]
    model = Model("label", [x, splits], [y], copy)
    with (
        MockServer([model], max_message_bytes=20_000) as small,
        MockServer([model]) as large,
    ):
        config = config_for(
            ServerConfig(url=small.url, preferred=True),
            large,
            layout="concat",
            batching=BatchingConfig(max_events=16, max_delay_s=60.0),
            window=ONE_BY_ONE,
        )
        with Client(config) as client:
            while large.url not in client.statistics().servers:  # both are known
                list(client.map(requests[:16]))
            n_rows.clear()
            outcomes = list(client.map(requests))

    assert all((o.outputs["Y"] == o.request_id).all() for o in outcomes)
    assert n_rows == [16 * 300] * 4
