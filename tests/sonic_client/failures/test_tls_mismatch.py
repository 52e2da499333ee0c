"""TLS mismatch: said in words, and not tried again."""

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import Client, ClientConfig, Request, RetryConfig, TlsError

X = [Served("X", "FP32", (-1,))]


@pytest.fixture
def server():
    with MockServer([Model("echo", X, X, dict)]) as server:
        yield server


def test_tls_on_a_plaintext_port_ends_the_start_at_once(server):
    config = ClientConfig(
        servers=server.url.replace("grpc://", "grpcs://"),
        model_name="echo",
        retry=RetryConfig(allowed_tries=50, first_wait_s=5.0, max_wait_s=5.0),
        startup_timeout_s=30.0,
    )

    with pytest.raises(TlsError, match=r"TLS on a plaintext port\?"):
        Client(config).__enter__()


def test_the_other_server_is_used_instead(server):
    config = ClientConfig(
        servers=[server.url.replace("grpc://", "grpcs://"), server.url],
        model_name="echo",
    )

    with Client(config) as client:
        (answer,) = client.map([Request(1, {"X": np.ones(3, np.float32)})])

    assert answer.server == server.url
    assert answer.tries == 1
