"""A proxy in the environment, as on many clusters, is not between loopback and us."""

import socket

import numpy as np
import pytest

from mock_server import MockServer, Model, TensorSpec
from sonic_client import Client, ClientConfig, ServerConfig

X, Y = TensorSpec("X", "FP32", (-1,)), TensorSpec("Y", "FP32", (-1,))
DOUBLE = Model("double", [X], [Y], lambda tensors: {"Y": 2 * tensors["X"]})


@pytest.mark.parametrize("asked_for", [False, True])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_of_this_machine_is_reached_directly(monkeypatch, protocol, asked_for):
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        MockServer([DOUBLE], http_port=0) as server,
    ):
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        url = server.url if protocol == "grpc" else server.http_url
        config = ClientConfig(
            servers=ServerConfig(url=url, proxy=asked_for),
            model_name="double",
            deadline_s=30.0,
        )

        with Client(config) as client:
            outputs = client.infer({"X": np.ones(2, np.float32)})

        proxy.setblocking(False)  # nobody has connected to it
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert outputs["Y"].tolist() == [2.0, 2.0]
