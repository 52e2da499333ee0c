"""Servers that can fail, and requests whose answers can be recognised.

Where each failure is shown, in this folder unless another one is given:

=============================================  =====================================
server down at start; black hole; wrong port   test_start
saturated at discovery; TLS mismatch           test_start
model missing or not ready                     test_start
model unloaded or changed in mid-run           test_model_changed_mid_run
server dies with calls in flight               test_lost_calls
rolling restart, scale-down                    test_lost_calls
deadline exceeded; late or reordered replies   test_lost_calls
gRPC's own retry above 256 KiB                 test_lost_calls
all servers fail, no fallback                  test_retries
five defects of CMSSW's retry chain            test_retries
queue full                                     test_overload, ../test_adaptive_window
a stub dies, no memory, 5xx, a poison event     test_server_faults
too large; above 2 GiB; batch above maximum    test_too_large
bad shape, type or name                        test_wrong_answers
missing or extra outputs, other rows, NaN      test_wrong_answers, ../test_answers
token expired                                  test_token_expired
capitalised header                             ../conformance/test_access
keepalive too eager                            test_keepalive_too_eager
planned end of a connection                    test_planned_ends, ../../proxies
user code raises; slow consumer                test_callers_code
fork, second `asyncio.run`, pickled errors     test_processes
cancelled anywhere                             test_cancellation
shared memory in use or gone                   test_shared_memory
Ctrl-C and SIGTERM                             sonic_tracking/test_interrupt
truncated or corrupt ROOT file                 producers
all of it at random, for a long time           ../soak
=============================================  =====================================
"""

import socket
import threading

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import Answer, ClientConfig, HealthConfig, Request, RetryConfig

FEATURES = Served("FEATURES", "FP32", (-1, 3))
LABELS = Served("LABELS", "INT64", (-1,))


def label_rows(tensors):
    """Label every row with its first feature."""
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


@pytest.fixture
def label_model():
    return Model("label", [FEATURES], [LABELS], label_rows, instances=8)


@pytest.fixture
def serve(label_model):
    """Start servers with the model and faults; they stop when the test ends."""
    servers = []

    def start(faults=None, *, models=None, **options):
        server = MockServer(
            [label_model] if models is None else models, faults=faults, **options
        )
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def client_messages(caplog):
    """A function that returns what the client has logged, without other loggers.

    gRPC's own tasks tell asyncio's logger of calls that ended at a bad moment, which
    happens on a busy machine.
    """

    def messages():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith("sonic_client")
        ]

    return messages


@pytest.fixture
def config_for():
    """Configure a client of these servers; it never waits long."""

    def configure(*servers, retry=(), **settings):
        return ClientConfig(
            servers=[
                server.url if isinstance(server, MockServer) else server
                for server in servers
            ],
            model_name="label",
            retry=RetryConfig(**{"first_wait_s": 0.0, **dict(retry)}),
            health=HealthConfig(first_pause_s=0.01, max_pause_s=0.05),
            **{"startup_timeout_s": 5.0, **settings},
        )

    return configure


@pytest.fixture
def requests_of():
    """Requests 0, 1, ..., each of two rows that hold its number."""

    def requests(n_requests):
        return [
            Request(n, {"FEATURES": np.full((2, 3), n, np.float32)})
            for n in range(n_requests)
        ]

    return requests


@pytest.fixture
def assert_whole():
    """Every request has one answer, in order, and the answer is its own."""

    def check(outcomes, n_requests):
        assert [outcome.request_id for outcome in outcomes] == list(range(n_requests))
        for outcome in outcomes:
            assert isinstance(outcome, Answer), outcome
            assert outcome.outputs["LABELS"].tolist() == [outcome.request_id] * 2

    return check


@pytest.fixture
def free_address():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def black_hole():
    """A port that takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def http_port():
    """A port that answers HTTP/1.1, as :8000 of a Triton does."""
    listener = socket.create_server(("127.0.0.1", 0))
    n_connections = []

    def answer():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            n_connections.append(1)
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", n_connections
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5.0)
