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


def test_fixture_serves_what_the_marker_names(run):
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
""")

    result.assert_outcomes(passed=4)


def test_requests_can_be_checked(run):
    result = run("""
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
""")

    result.assert_outcomes(passed=2)


def test_failed_check_says_what_was_received(run):
    result = run("""
@pytest.mark.mock_triton([double()])
def test_fails(mock_triton):
    ask(mock_triton, id="seven")
    mock_triton.assert_received("triple", times=2)
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*expected 2 request(s) of model 'triple', got 0. Received in all: 1*",
            "*model_name='double'*id='seven'*",
        ]
    )


def test_wrong_option_of_the_marker_is_named(run):
    result = run("""
@pytest.mark.mock_triton(model=[double()])
def test_never_runs(mock_triton):
    pass
""")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*marker mock_triton*'model'*"])


def test_session_server_is_the_same_for_all_tests(run):
    result = run("""
seen = []

@pytest.mark.parametrize("name", ["a", "b"])
def test_one(mock_triton_session, name):
    mock_triton_session.add(double(name))
    seen.append(mock_triton_session.url)
    assert ask(mock_triton_session, 1.0, name) == 2.0
    assert len(set(seen)) == 1
""")

    result.assert_outcomes(passed=2)


def test_workers_of_xdist_do_not_meet(run):
    result = run(
        """
@pytest.mark.mock_triton([double()])
@pytest.mark.parametrize("value", range(6))
def test_one(mock_triton, value):
    assert ask(mock_triton, value) == 2 * value
    mock_triton.assert_received(times=1)
""",
        "-n2",
    )

    result.assert_outcomes(passed=6)


def test_nothing_is_left_after_a_test(run):
    # The first server of a process lets gRPC and the loop set up what it keeps. gRPC
    # closes descriptors in threads of its core, a moment after it has said that it did.
    result = run("""
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

@pytest.mark.parametrize("number", range(4))
@pytest.mark.mock_triton([double()], http=True, metrics=True)
def test_one(watched, mock_triton, number):
    seen.append(int(mock_triton.url.rpartition(":")[2]))
    assert ask(mock_triton) == 2.0
    urllib.request.urlopen(mock_triton.http_url + "/v2").close()
    urllib.request.urlopen(mock_triton.metrics_url).close()

@pytest.mark.parametrize("number", range(3))
@pytest.mark.mock_triton(
    [double()], faults=FaultPlan().on(1).drop_connection(), http=True
)
def test_dropped(watched, mock_triton, number):
    seen.append(int(mock_triton.url.rpartition(":")[2]))
    with pytest.raises(InferenceServerException):
        ask(mock_triton)
    # Sent while gRPC still writes to the old connection, a request is lost with it.
    answer = None
    while answer is None:
        with suppress(InferenceServerException):
            answer = ask(mock_triton)
    assert answer == 2.0
""")

    result.assert_outcomes(passed=7)


def test_plugin_itself_loads_nothing_of_the_server():
    script = """
import sys, mock_server.pytest_plugin
heavy = {"grpc", "numpy", "aiohttp", "tritonclient", "mock_server.server"}
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
