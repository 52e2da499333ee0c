"""Servers in processes of their own, so that they do not compute in this one."""

import os
import subprocess
import sys

import pytest

# As the command `sonic` does, before torch is there: else the threads of one contestant
# spin for a while on the cores of the next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SERVER = """
import sys, time
from mock_server import MockServer, Model, TensorSpec

server_time_s = float(sys.argv[1])

def echo(tensors):
    if server_time_s:
        time.sleep(server_time_s)
    return {"Y": tensors["X"]}

x, y = (TensorSpec(name, "FP32", (-1, 3)) for name in "XY")
# As many instances as any window is wide, where they only wait.
instances = 64 if server_time_s else 1
splits = TensorSpec("ROW_SPLITS", "INT64", (-1,))
models = [
    Model("echo", [x], [y], echo, instances=instances),
    Model("echo_batch", [x, splits], [y], echo, instances=instances),
]
with MockServer(models) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def is_smoke(request):
    """True if the benchmarks are only tried out: ``--benchmark-disable``."""
    return request.config.getoption("benchmark_disable")


@pytest.fixture(scope="module")
def echo_server():
    """URL of a mock server of the model `echo`, by its time per request in seconds.

    Y is a copy of X FP32[-1,3]; `echo_batch` also takes ROW_SPLITS. A server runs
    until the tests of the module end.
    """
    processes = {}

    def url_of(server_time_s):
        if server_time_s not in processes:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(server_time_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            processes[server_time_s] = process, process.stdout.readline().strip()
        return processes[server_time_s][1]

    yield url_of
    for process, _ in processes.values():
        process.communicate()  # closing its stdin ends it
