"""`sonic record`: a proxy in the foreground, or with requests of its own."""

import os
import signal
import subprocess
import sys

import numpy as np

from mock_server import MockServer, Model, TensorSpec
from sonic_client import Client, ClientConfig

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
