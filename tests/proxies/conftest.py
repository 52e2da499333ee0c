"""nginx and haproxy in front of the mock, and a client whose every event is checked.

Both are installed by ``apt-get install nginx haproxy``. Without them these tests are
skipped, unless SONIC_REQUIRE_PROXIES is set: then they fail.
"""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    Client,
    ClientConfig,
    HealthConfig,
    Request,
    RetryConfig,
    ServerConfig,
    WindowConfig,
)

from .middleboxes import HAProxy, Middlebox, Nginx, haproxy_text, nginx_text, path_of

WINDOW = 16

MISSING = "nginx and haproxy are not both installed: apt-get install nginx haproxy"


@pytest.fixture(autouse=True, scope="session")
def installed():
    """Skip where a proxy is missing."""
    if all(map(path_of, ("nginx", "haproxy"))):
        return
    if os.environ.get("SONIC_REQUIRE_PROXIES"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def label_rows(tensors):
    """Label every row with its first feature."""
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


def label_model():
    features, labels = (
        Served("FEATURES", "FP32", (-1, 3)),
        Served("LABELS", "INT64", (-1,)),
    )
    return Model("label", [features], [labels], label_rows, instances=8)


@pytest.fixture(scope="session")
def server():
    """A server that never fails, for all tests."""
    with MockServer([label_model()], http_port=0) as server:
        yield server


@pytest.fixture
def serve():
    """Start further servers; they stop when the test ends."""
    servers = []

    def start(**options):
        server = MockServer([label_model()], http_port=0, **options)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def run(tmp_path):
    """Start a proxy; it ends when the test ends."""
    boxes = []

    def start(kind: type[Middlebox], text: str):
        box = kind(tmp_path, text).__enter__()
        boxes.append(box)
        return box

    yield start
    for box in boxes:
        box.__exit__()


@pytest.fixture
def nginx(run) -> Callable[..., Nginx]:
    """Start nginx in front of servers, with directives for its block `server`."""

    def start(protocol: str, *servers: MockServer, directives: str = "") -> Nginx:
        return run(
            Nginx, nginx_text(protocol, addresses(servers, protocol), directives)
        )

    return start


@pytest.fixture
def haproxy(run) -> Callable[..., HAProxy]:
    """Start haproxy in front of servers, with lines for its section `defaults`."""

    def start(protocol: str, *servers: MockServer, defaults: str = "") -> HAProxy:
        text = haproxy_text(protocol, addresses(servers, protocol), defaults)
        return run(HAProxy, text)

    return start


def addresses(servers: Sequence[MockServer], protocol: str) -> list[str]:
    """Return ``host:port`` of each server's protocol."""
    urls = [each.url if protocol == "grpc" else each.http_url for each in servers]
    return [url.partition("://")[2] for url in urls]


@pytest.fixture
def config_for():
    """Configure a client of these URLs; a try that fails is final, unless allowed."""

    def configure(*servers: str | ServerConfig, retry=(), **settings) -> ClientConfig:
        return ClientConfig(
            servers=servers,
            model_name="label",
            window=WindowConfig(max_requests=WINDOW),
            retry=RetryConfig(
                **{"allowed_tries": 1, "first_wait_s": 0.01, **dict(retry)}
            ),
            health=HealthConfig(first_pause_s=0.05, max_pause_s=0.2),
            **settings,
        )

    return configure


def requests_of(n_events: int, n_rows: int = 2) -> Iterator[Request]:
    """Requests 0, 1, ..., each of rows that hold its number."""
    for number in range(n_events):
        features = np.full((n_rows, 3), number, np.float32)
        yield Request(number, {"FEATURES": features})


def run_job(config, requests, at=lambda n_events: None):
    """Run the requests; each must have its own answer, once and in order.

    Parameters
    ----------
    at : callable
        Called with the number of events answered so far, after each.

    Returns
    -------
    ClientStatistics
    """
    n_events = 0
    with Client(config) as client:
        for outcome in client.map(requests):
            assert outcome.request_id == n_events
            assert isinstance(outcome, Answer), outcome
            assert set(outcome.outputs["LABELS"].tolist()) == {n_events}
            n_events += 1
            at(n_events)
    return client.statistics()


def assert_undisturbed(statistics, n_events):
    """Each event took one try, and no server was left alone."""
    assert statistics.tries == {"OK": n_events}
    assert not any(change.endswith(" open") for change in statistics.server_changes)
