"""The clients against a real endpoint on loopback."""

import asyncio
import contextlib
import gc
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import grpc
import ml_dtypes
import numpy as np
import pytest
from grpc.aio import Call

from mock_server import FaultPlan, MockServer, Model, ModelError
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    AsyncClient,
    Client,
    ClientConfig,
    DeadlineExceededError,
    FailsEverywhereError,
    Failure,
    FallbackServer,
    ModelNotFoundError,
    Request,
    RequestTooLargeError,
    RetryConfig,
    ServerUnreachableError,
    WindowConfig,
)

FEATURES = Served("FEATURES", "FP32", (-1, 3))
ROW_SPLITS = Served("ROW_SPLITS", "INT64", (-1,))
LABELS = Served("LABELS", "INT64", (-1,))


def label_rows(tensors):
    """Number the rows from zero, in every event."""
    n_rows = len(tensors["FEATURES"])
    row_splits = tensors.get("ROW_SPLITS", [0, n_rows])
    if np.isnan(tensors["FEATURES"]).any():
        raise ValueError("a feature is not a number")
    sizes = np.diff(row_splits)
    return {"LABELS": np.arange(n_rows) - np.repeat(row_splits[:-1], sizes)}


MODELS = (
    Model("label", [FEATURES], [LABELS], label_rows, parameters={"cut": "0.5"}),
    Model("label_batch", [FEATURES, ROW_SPLITS], [LABELS], label_rows),
)


@pytest.fixture
def server():
    with MockServer(MODELS) as server:
        yield server


@pytest.fixture
def config(server):
    return ClientConfig(
        servers=server.url,
        model_name="label",
        retry=RetryConfig(first_wait_s=0.0),
    )


def requests_of(sizes):
    for number, n_rows in enumerate(sizes):
        yield Request(number, {"FEATURES": np.full((n_rows, 3), 1.0, np.float32)})


def test_the_in_process_server_can_be_a_fallback(server):
    assert isinstance(server, FallbackServer)


@pytest.mark.parametrize("layout", ["per_event", "concat"])
@pytest.mark.parametrize("max_requests", [1, 4])
def test_every_event_comes_back_whole_and_in_order(config, layout, max_requests):
    sizes = [47, 0, 1, 300, 0, 5] * 10
    config = replace(
        config,
        model_name="label" if layout == "per_event" else "label_batch",
        layout=layout,
        window=WindowConfig(max_requests=max_requests),
    )

    with Client(config) as client:
        outcomes = list(client.map(requests_of(sizes)))

    assert [outcome.request_id for outcome in outcomes] == list(range(len(sizes)))
    for outcome, n_rows in zip(outcomes, sizes, strict=True):
        np.testing.assert_array_equal(outcome.outputs["LABELS"], np.arange(n_rows))
        assert outcome.server == (config.servers[0].url if n_rows else "")


async def test_the_asynchronous_client_speaks_the_same(config):
    async with AsyncClient(config) as client:
        outputs = await client.infer({"FEATURES": np.zeros((3, 3), np.float32)})
        outcomes = [outcome async for outcome in client.map(requests_of([1, 2]))]

    assert outputs["LABELS"].tolist() == [0, 1, 2]
    assert [outcome.outputs["LABELS"].tolist() for outcome in outcomes] == [[0], [0, 1]]


@pytest.mark.parametrize(
    ("datatype", "array"),
    [
        ("FP16", np.array([1.5, 2.5], np.float16)),
        ("BF16", np.array([1.5, 2.5], ml_dtypes.bfloat16)),
        ("BOOL", np.array([True, False])),
        ("BYTES", np.array([b"", b"\0text"], dtype=object)),
        ("UINT64", np.array([2**64 - 1, 0], np.uint64)),
        ("FP32", np.array([], np.float32)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_of_any_type_come_back_as_they_were_sent(datatype, array):
    spec = [Served("X", datatype, (-1,))]
    model = Model("echo", spec, spec, dict)

    with (
        MockServer([model]) as server,
        Client(ClientConfig(servers=server.url, model_name="echo")) as client,
    ):
        copy = client.infer({"X": array})["X"]

    np.testing.assert_array_equal(copy, array)
    assert copy.dtype == array.dtype


def test_a_poisoned_event_fails_alone(config):
    requests = list(requests_of([2] * 8))
    requests[5].inputs["FEATURES"][0, 0] = np.nan
    config = replace(config, model_name="label_batch", layout="concat")

    with Client(config) as client:
        outcomes = list(client.map(requests))

    (failure,) = (each for each in outcomes if isinstance(each, Failure))
    assert failure.request_id == 5
    assert isinstance(failure.error, FailsEverywhereError)
    assert failure.error.request_id == "5"
    assert "a feature is not a number" in str(failure.error)


def test_transient_refusals_are_repeated(config):
    faults = FaultPlan().on(1, 2).refuse("UNAVAILABLE", "Exceeds maximum queue size")
    with (
        MockServer(MODELS, faults=faults) as faulty,
        Client(replace(config, servers=faulty.url)) as client,
    ):
        (answer,) = client.map(requests_of([4]))

    assert isinstance(answer, Answer)
    assert answer.tries == 3
    assert client.statistics().tries == {"UNAVAILABLE": 2, "OK": 1}


def test_rejected_requests_are_sent_once():
    arrivals = []

    def refuse(arrival):
        arrivals.append(arrival.request_id)
        raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, "no")

    with (
        MockServer(MODELS, faults=refuse) as server,
        Client(ClientConfig(servers=server.url, model_name="label")) as client,
    ):
        (failure,) = client.map(requests_of([4]))

    assert arrivals == ["0"]
    assert failure.error.details.endswith("no")


def test_a_server_that_comes_back_is_used_again(config):
    with MockServer(MODELS) as first:
        port = int(first.url.rpartition(":")[2])
        client = Client(
            replace(config, servers=first.url, retry=RetryConfig(allowed_tries=20))
        )
        client.__enter__()
        list(client.map(requests_of([4])))
    with contextlib.ExitStack() as stack:
        stack.callback(client.__exit__, None, None, None)

        def requests():
            for request in requests_of([4] * 3):
                yield request
                if request.request_id == 0:
                    stack.enter_context(MockServer(MODELS, grpc_port=port))

        outcomes = list(client.map(requests()))

    assert all(isinstance(outcome, Answer) for outcome in outcomes)


@pytest.fixture
def free_port():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return reserved.getsockname()[1]


def test_an_unreachable_server_is_named_soon(config, free_port):
    started = time.monotonic()

    with pytest.raises(ServerUnreachableError, match=f"127.0.0.1:{free_port}"):
        Client(replace(config, servers=f"127.0.0.1:{free_port}")).__enter__()
    assert time.monotonic() - started < config.startup_timeout_s / 2


def test_a_server_that_never_answers_is_given_up_in_the_set_time(config):
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        address = f"127.0.0.1:{black_hole.getsockname()[1]}"
        client = Client(replace(config, servers=address, startup_timeout_s=0.2))

        with pytest.raises(ServerUnreachableError, match=r"no answer within 0\.2 s"):
            client.__enter__()


def test_an_unknown_model_is_named(config):
    with pytest.raises(ModelNotFoundError, match="'exatrkk' is not found"):
        Client(replace(config, model_name="exatrkk")).__enter__()


def live_calls():
    gc.collect()
    return [found for found in gc.get_objects() if issubclass(type(found), Call)]


@pytest.mark.parametrize("fails", ["opening", "inferring"])
def test_an_error_that_is_kept_keeps_no_call_and_so_no_connection(config, fails):
    earlier = len(live_calls())
    model_name = "exatrkk" if fails == "opening" else "label"
    features = np.full((1, 3), np.nan, np.float32)

    with (
        pytest.raises((ModelNotFoundError, FailsEverywhereError)) as kept,
        Client(replace(config, model_name=model_name)) as client,
    ):
        client.infer({"FEATURES": features})

    assert kept.value.__cause__ is not None
    assert len(live_calls()) == earlier


@pytest.fixture
def stalling_server():
    """A server whose model returns only when the test ends."""
    entered, released = threading.Event(), threading.Event()

    def stall(tensors):
        entered.set()
        released.wait(300.0)
        return label_rows(tensors)

    model = Model("label", [FEATURES], [LABELS], stall, instances=4)
    with MockServer([model]) as server:
        yield server, entered
        released.set()


def test_the_deadline_ends_a_request_that_stalls(config, stalling_server):
    server, _ = stalling_server
    config = replace(config, servers=server.url, deadline_s=0.2)

    with Client(config) as client:
        (failure,) = client.map(requests_of([4]))

    assert isinstance(failure.error, DeadlineExceededError)
    assert client.statistics().tries == {"DEADLINE_EXCEEDED": 1}


async def test_cancelling_infer_cancels_the_call(config, stalling_server):
    server, entered = stalling_server

    async with AsyncClient(replace(config, servers=server.url)) as client:
        task = asyncio.create_task(
            client.infer({"FEATURES": np.zeros((1, 3), np.float32)})
        )
        await asyncio.to_thread(entered.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert client.statistics().tries == {"LOCALLY_CANCELLED": 1}


INTERRUPTED = """
import signal, sys
import numpy as np
from sonic_client import Client, ClientConfig, Request
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
with Client(ClientConfig(servers=sys.argv[1], model_name="label")) as client:
    features = np.zeros((2, 3), np.float32)
    try:
        list(client.map(Request(n, {"FEATURES": features}) for n in range(100)))
    finally:
        print(client.statistics().tries)
"""


def test_ctrl_c_ends_a_job_at_a_stalling_server_with_its_statistics(stalling_server):
    server, entered = stalling_server
    job = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, server.url],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert entered.wait(80.0)

    job.send_signal(signal.SIGINT)
    output, errors = job.communicate(timeout=80.0)  # the server stalls still

    assert "LOCALLY_CANCELLED" in output
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_several_clients_live_in_one_process(config):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(config)) for _ in range(3)]

        outcomes = [list(each.map(requests_of([3] * 20))) for each in clients]

    assert [len(each) for each in outcomes] == [20, 20, 20]


def test_messages_above_the_servers_limit_are_too_large(config):
    with (
        MockServer(MODELS, max_message_bytes=1000) as small,
        Client(replace(config, servers=small.url)) as client,
    ):
        (failure,) = client.map(requests_of([100]))

    assert isinstance(failure.error, RequestTooLargeError)
    assert failure.tries == 1


def test_answers_above_grpcs_own_default_of_4_mb_arrive(config):
    with Client(config) as client:
        outputs = client.infer({"FEATURES": np.zeros((700_000, 3), np.float32)})

    assert outputs["LABELS"].nbytes > 4 * 2**20
