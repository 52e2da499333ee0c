"""SeldonIO's MLServer with two models of Python functions.

It is found beside the Python that runs the tests, where ``nox -s mlserver`` installs
it, or by the environment variable ``SONIC_MLSERVER``.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).with_name("repository")
START_LIMIT_S = 60.0


@pytest.fixture(scope="session")
def command():
    beside = Path(sys.executable).with_name("mlserver")
    path = os.environ.get("SONIC_MLSERVER") or (beside if beside.exists() else None)
    if path is None:
        pytest.skip("no mlserver: run nox -s mlserver, or set SONIC_MLSERVER")
    return str(path)


@pytest.fixture(scope="session")
def start(command, tmp_path_factory):
    """A context manager of a running server: its URLs and its process."""

    @contextmanager
    def started():
        folder = tmp_path_factory.mktemp("mlserver") / "repository"
        shutil.copytree(REPOSITORY, folder)
        http, grpc, metrics = free_ports(3)
        settings = {
            "host": "127.0.0.1",
            "http_port": http,
            "grpc_port": grpc,
            "metrics_port": metrics,
            "parallel_workers": 0,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        log = folder.with_name("log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [command, "start", "."], cwd=folder, stdout=output, stderr=output
            )
        try:
            await_ready(f"http://127.0.0.1:{http}/v2/health/ready", process, log)
            yield SimpleNamespace(
                grpc=f"grpc://127.0.0.1:{grpc}",
                http=f"http://127.0.0.1:{http}",
                process=process,
            )
        finally:
            process.kill()
            process.wait()

    return started


@pytest.fixture(scope="session")
def server(start):
    """The server for all tests that do not end it."""
    with start() as running:
        yield running


def free_ports(n_ports):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n_ports)]
    numbers = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return numbers


def await_ready(url, process, log):
    end = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"mlserver did not start: {log.read_text()[-2000:]}")
