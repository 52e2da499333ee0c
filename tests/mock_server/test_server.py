import socket
import threading
from concurrent.futures import Future

import grpc
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from mock_server import DynamicBatching, MockServer, Model, TensorSpec

WAIT_S = 10.0


def model(name, function, **options):
    return Model(
        name=name,
        inputs=[TensorSpec("X", "FP32", (-1,))],
        outputs=[TensorSpec("Y", "FP32", (-1,))],
        function=function,
        **options,
    )


def identity(tensors):
    return {"Y": tensors["X"]}


@pytest.fixture
def submit(tensor):
    """Sends a request without waiting; the future holds its answer or its error."""

    def send(client, name, value=1.0):
        future = Future()

        def done(result, error):
            if error is None:
                future.set_result(result.as_numpy("Y"))
            else:
                future.set_exception(error)

        x = tensor("X", np.array([value], np.float32))
        client.async_infer(name, [x], callback=done)
        return future

    return send


def test_instances_of_a_model_run_at_the_same_time(serve, connect, submit):
    together = threading.Barrier(3)

    def meet(tensors):
        together.wait(WAIT_S)
        return identity(tensors)

    client = connect(serve(model("meet", meet, instances=3)))
    futures = [submit(client, "meet", value) for value in range(3)]

    assert [future.result(WAIT_S) for future in futures] == [0, 1, 2]


def test_one_instance_serves_one_request_at_a_time(serve, connect, submit):
    alone = threading.Lock()

    def watch(tensors):
        assert alone.acquire(blocking=False)
        try:
            return {"Y": np.cumsum(np.ones(100_000))[:1]}  # long enough to be met
        finally:
            alone.release()

    client = connect(serve(model("watch", watch)))
    futures = [submit(client, "watch") for _ in range(20)]

    assert [future.result(WAIT_S) for future in futures] == [1] * 20


def test_busy_model_does_not_block_another(serve, connect, submit):
    started, release = threading.Event(), threading.Event()
    running = []

    def hang(tensors):
        running.append(1)
        started.set()
        release.wait(WAIT_S)
        return identity(tensors)

    client = connect(serve(model("hang", hang), model("free", identity)))
    stuck = [submit(client, "hang") for _ in range(3)]
    started.wait(WAIT_S)

    assert submit(client, "free").result(WAIT_S) == 1
    assert client.is_server_live()
    assert len(running) == 1
    assert not any(future.done() for future in stuck)
    release.set()
    assert [future.result(WAIT_S) for future in stuck] == [1, 1, 1]


def test_stopped_server_leaves_no_thread_and_no_port(submit):
    before = set(threading.enumerate())

    with MockServer([model("m", identity, instances=4)]) as server:
        address = server.url.removeprefix("grpc://")
        client = InferenceServerClient(address)
        futures = [submit(client, "m") for _ in range(8)]
        for future in futures:
            future.result(WAIT_S)
        client.close()

    assert set(threading.enumerate()) == before
    host, port = address.split(":")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, int(port)))


def test_threads_are_gone_when_stop_returns():
    before = set(threading.enumerate())
    server = MockServer()

    for _ in range(50):
        server.start()
        server.stop()
        assert set(threading.enumerate()) == before


def test_stop_ends_the_requests_in_flight_and_waits_for_the_model(connect, submit):
    started, release, finished = (threading.Event() for _ in range(3))

    def slow(tensors):
        started.set()
        release.wait(WAIT_S)
        finished.set()
        return identity(tensors)

    server = MockServer([model("slow", slow)])
    server.start()
    client = connect(server)
    running, waiting = submit(client, "slow"), submit(client, "slow")
    started.wait(WAIT_S)
    running.add_done_callback(lambda future: release.set())

    server.stop()

    assert finished.is_set()
    for future in (running, waiting):
        assert isinstance(future.exception(WAIT_S), InferenceServerException)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_batch_size": 4, "dynamic_batching": DynamicBatching()}],
    ids=["in-the-request's-thread", "in-the-model's-thread"],
)
def test_stop_leaves_a_model_behind_that_never_returns(
    connect, tensor, monkeypatch, caplog, options
):
    monkeypatch.setattr("mock_server.scheduling.threads.STOP_WAIT_S", 0.05)
    started, release = threading.Event(), threading.Event()

    def never_in_time(tensors):
        started.set()
        release.wait(WAIT_S)
        return identity(tensors)

    server = MockServer([model("stuck", never_in_time, **options)])
    server.start()
    answer = Future()
    x = tensor("X", np.ones((1, 1) if options else 1, np.float32))
    connect(server).async_infer(
        "stuck", [x], callback=lambda result, error: answer.set_result(error)
    )
    assert started.wait(WAIT_S)

    server.stop()

    assert not release.is_set()
    assert "left behind" in caplog.text
    assert isinstance(answer.result(WAIT_S), InferenceServerException)
    release.set()


def test_server_starts_again_with_its_models_and_counters(connect, submit):
    server = MockServer([model("m", identity)])

    for expected in (1, 2):
        with server:
            client = connect(server)
            submit(client, "m").result(WAIT_S)
            (row,) = client.get_inference_statistics("m").model_stats
            assert row.inference_count == expected


def test_port_in_use_is_an_error_that_names_it(serve):
    port = int(serve().url.rpartition(":")[2])

    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(grpc_port=port)


def test_server_listens_on_loopback_at_a_port_of_its_own(serve):
    first, second = serve(), serve()

    assert first.url.startswith("grpc://127.0.0.1:")
    assert first.url != second.url


def test_server_that_is_not_running_has_no_url_and_stops_quietly():
    server = MockServer()

    server.stop()

    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_running_server_is_not_started_twice(serve):
    with pytest.raises(RuntimeError, match="running already at grpc://"):
        serve().start()


def test_version_of_a_model_is_served_once(serve):
    server = serve(model("m", identity))

    with pytest.raises(ValueError, match="model 'm' version 1 is served already"):
        server.add(model("m", identity))


def test_messages_above_the_limit_are_refused(serve, connect, tensor):
    client = connect(serve(model("m", identity), max_message_bytes=1024))

    with pytest.raises(InferenceServerException) as error:
        client.infer("m", [tensor("X", np.ones(1024, np.float32))])

    assert error.value.status() == str(grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_messages_of_many_megabytes_pass_by_default(serve, connect, tensor):
    x = np.arange(5_000_000, dtype=np.float32)  # 20 MB; gRPC's own limit is 4 MB

    result = connect(serve(model("m", identity))).infer("m", [tensor("X", x)])

    assert_array_equal(result.as_numpy("Y"), x)
