"""`sonic record`: a proxy in the foreground, or with requests of its own."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from mock_server import MockServer, Model, TensorSpec
from mock_server.cassette import Upstream
from sonic_base import ConfigError
from sonic_client import AccessDeniedError, Client, ClientConfig, ServerConfig
from sonic_tracking import record

LABEL = Model(
    "exatrkx",
    [TensorSpec("FEATURES", "FP32", (-1, 3))],
    [TensorSpec("LABELS", "INT64", (-1,))],
    lambda tensors: {"LABELS": np.arange(len(tensors["FEATURES"]))},
)
FEATURES = {"FEATURES": np.ones((4, 3), np.float32)}


def labels(url):
    with Client(ClientConfig(servers=url, model_name="exatrkx")) as client:
        return client.infer(FEATURES)["LABELS"].tolist()


def test_proxy_records_what_a_client_asks_and_replays_it(tmp_path):
    folder = tmp_path / "cassette"
    with MockServer([LABEL]) as real:
        process = subprocess.Popen(
            [sys.executable, "-m", "sonic_tracking", "record", "--server", real.url,
             "--models", "exatrkx", "-o", folder],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        )  # fmt: skip
        url = next(line for line in process.stdout if "connect" in line).split()[-1]
        answered = labels(url)
        process.send_signal(signal.SIGTERM)
        printed, errors = process.communicate(timeout=30)

    assert (answered, errors, process.returncode) == ([0, 1, 2, 3], "", 0)
    assert "requests to exatrkx   1" in printed
    with MockServer.replay(folder) as server:
        assert labels(server.url) == answered


def test_address_without_a_server_is_told_in_one_line(refused):
    line = refused(
        "record", "--server", "grpc://127.0.0.1:1", "--models", "m", "-o", "c", status=1
    )

    assert "UNAVAILABLE" in line


def test_unknown_model_is_told_in_one_line(refused):
    with MockServer([LABEL]) as real:
        line = refused(
            "record", "--server", real.url, "--models", "exatrk", "-o", "c", status=1
        )

    assert "Request for unknown model: 'exatrk' is not found" in line


def test_folder_in_use_is_told_in_one_line(refused, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "file").touch()

    with MockServer([LABEL]) as real:
        line = refused(
            "record", "--server", real.url, "--models", "exatrkx", "-o", "c", status=2
        )

    assert "something in it already" in line


def test_address_of_http_is_told_in_one_line(refused):
    line = refused(
        "record", "--server", "http://h:1", "--models", "m", "-o", "c", status=2
    )

    assert "expected grpc://HOST:PORT" in line


def test_a_server_with_a_token_is_recorded_and_its_token_is_asked_for(tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("t0ken-of-the-real-server")
    token_file.chmod(0o600)
    with (
        MockServer([LABEL], token="t0ken-of-the-real-server") as real,
        record(
            real.url, ["exatrkx"], tmp_path / "cassette", token_file=token_file
        ) as recording,
    ):
        with pytest.raises(AccessDeniedError):
            labels(recording.url)
        answered = labels(ServerConfig(url=recording.url, token_file=token_file))

    assert answered == [0, 1, 2, 3]
    for file in (tmp_path / "cassette").rglob("*.json*"):
        assert "t0ken" not in file.read_text()


def test_a_token_does_not_go_unencrypted_to_another_machine(tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("t0ken-of-the-real-server")
    token_file.chmod(0o600)

    with pytest.raises(ConfigError, match="would be sent unencrypted"):
        record("grpc://192.0.2.1:8001", ["m"], tmp_path / "c", token_file=token_file)


def test_no_proxy_of_the_environment_is_between_recorder_and_server(
    tmp_path, monkeypatch
):
    with socket.create_server(("127.0.0.1", 0)) as proxy, MockServer([LABEL]) as real:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with Upstream(real.url, timeout_s=10.0) as upstream:
            assert list(upstream.described(["exatrkx"])) == ["exatrkx"]
