"""The plugin in pytest runs of its own."""

import subprocess
import sys

import pytest

MODELS = """
import os, socket, threading, time, urllib.request
from collections import Counter
from contextlib import suppress
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException
from mock_server import FaultPlan, Model, TensorSpec

def double(name="double"):
    return Model(
        name,
        [TensorSpec("X", "FP32", (-1,))],
        [TensorSpec("Y", "FP32", (-1,))],
        lambda tensors: {"Y": 2 * tensors["X"]},
    )

def ask(server, value=1.0, name="double", id=""):
    client = InferenceServerClient(server.url.removeprefix("grpc://"))
    x = InferInput("X", [1], "FP32").set_data_from_numpy(np.array([value], np.float32))
    try:
        return client.infer(name, [x], request_id=id).as_numpy("Y")[0]
    finally:
        client.close()
"""


@pytest.fixture
def run(pytester):
    """Run a test file, on the helpers above; its warnings are errors too."""

    def run_tests(text, *options):
        pytester.makepyfile(MODELS + text)
        return pytester.runpytest_subprocess("-Werror", "--strict-markers", *options)

    return run_tests


def test_fixtures_serve_record_and_leave_nothing_behind(run):
    # The first server of a process lets gRPC and the loop set up what it keeps. gRPC
    # closes descriptors in threads of its core, a moment after it has said that it did.
    result = run("""
@pytest.mark.mock_triton([double()])
def test_by_position(mock_triton):
    assert ask(mock_triton, 4.0) == 8.0

@pytest.mark.mock_triton(models=[double()], http=True, metrics=True)
def test_ports(mock_triton):
    assert urllib.request.urlopen(mock_triton.http_url + "/v2").status == 200
    assert urllib.request.urlopen(mock_triton.metrics_url).status == 200

def test_without_a_marker(mock_triton):
    mock_triton.add(double("other"))
    assert ask(mock_triton, 1.0, "other") == 2.0

@pytest.mark.mock_triton(
    models=[double()], faults=FaultPlan().on(1).refuse("UNAVAILABLE", "full")
)
def test_faults(mock_triton):
    with pytest.raises(Exception, match="full"):
        ask(mock_triton)
    assert ask(mock_triton) == 2.0

@pytest.mark.mock_triton([double()])
def test_received(mock_triton):
    mock_triton.assert_nothing_received()
    ask(mock_triton, 4.0, id="a")
    ask(mock_triton, 5.0, id="b")
    first, second = mock_triton.assert_received("double", times=2)
    assert (first.number, first.id, second.id) == (1, "a", "b")
    assert first.shapes == {"X": (1,)}
    assert second.inputs["X"].tolist() == [5.0]
    mock_triton.assert_received(id="b", times=1)
    mock_triton.forget()
    mock_triton.assert_nothing_received()

@pytest.mark.mock_triton([double()], keep_inputs=False, max_requests=2)
def test_record_is_bounded(mock_triton):
    for number in range(4):
        ask(mock_triton, id=str(number))
    assert [request.id for request in mock_triton.received] == ["2", "3"]
    assert mock_triton.received[0].inputs is None

urls = set()

@pytest.mark.parametrize("name", ["a", "b"])
def test_one_server_for_the_session(mock_triton_session, name):
    mock_triton_session.add(double(name))
    urls.add(mock_triton_session.url)
    assert ask(mock_triton_session, 1.0, name) == 2.0
    assert len(urls) == 1

def descriptors():
    found = Counter()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # closed since it was listed
            found[os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]] += 1
    return found

seen = []

@pytest.fixture
def watched():
    threads, before = set(threading.enumerate()), descriptors()
    yield
    assert set(threading.enumerate()) == threads
    end_s = time.monotonic() + 10
    while len(seen) > 1 and (left := descriptors() - before):
        assert time.monotonic() < end_s, left
        time.sleep(0.01)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", seen[-1]))

@pytest.mark.parametrize("number", range(3))
@pytest.mark.mock_triton(
    [double()], faults=FaultPlan().on(1).drop_connection(), http=True, metrics=True
)
def test_nothing_is_left(watched, mock_triton, number):
    seen.append(int(mock_triton.url.rpartition(":")[2]))
    urllib.request.urlopen(mock_triton.http_url + "/v2").close()
    urllib.request.urlopen(mock_triton.metrics_url).close()
    with pytest.raises(InferenceServerException):
        ask(mock_triton)
    # Sent while gRPC still writes to the old connection, a request is lost with it.
    answer = None
    while answer is None:
        with suppress(InferenceServerException):
            answer = ask(mock_triton)
    assert answer == 2.0
""")

    result.assert_outcomes(passed=11)


def test_failed_check_and_wrong_option_are_explained(run):
    result = run("""
@pytest.mark.mock_triton([double()])
def test_fails(mock_triton):
    ask(mock_triton, id="seven")
    mock_triton.assert_received("triple", times=2)

@pytest.mark.mock_triton(model=[double()])
def test_never_runs(mock_triton):
    pass
""")

    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*expected 2 request(s) of model 'triple', got 0. Received in all: 1*",
            "*model_name='double'*id='seven'*",
            "*marker mock_triton*'model'*",
        ]
    )


def test_plugin_itself_loads_nothing_of_the_server():
    script = """
import sys, mock_server.pytest_plugin
heavy = {"grpc", "numpy", "aiohttp", "torch", "tritonclient", "mock_server.server"}
assert not heavy & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_is_loaded_on_use():
    script = """
import sys, mock_server
assert "mock_server.server" not in sys.modules
assert dir(mock_server) == mock_server.__all__
mock_server.FaultPlan
assert "grpc" in sys.modules
assert "mock_server.server" not in sys.modules
try:
    mock_server.nothing
except AttributeError as error:
    assert "nothing" in str(error)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
