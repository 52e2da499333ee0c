"""`sonic servers`: one line a server, whatever state it is in."""

import json
import socket

import pytest

from mock_server import FaultPlan, MockServer, Model
from mock_server import TensorSpec as Served

X = [Served("X", "FP32", (-1,))]
ECHO = Model("echo", X, X, dict)


@pytest.fixture
def nobody():
    """The URL of a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    return f"grpc://127.0.0.1:{port}"


def test_a_ready_server_is_listed_with_its_models_and_latency(sonic):
    with MockServer([ECHO]) as server:
        url = server.url
        result = sonic("servers", url)

    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if url in line)
    assert " ready " in line
    assert " ms " in line
    assert "echo 1" in line


def test_servers_are_reported_as_json_in_the_order_given(sonic, nobody):
    with MockServer([ECHO]) as server:
        url = server.url
        result = sonic("servers", nobody, url, "--json", "--timeout", 2)

    down, ready = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (down["server"], down["state"]) == (nobody, "unreachable")
    assert "cannot be reached" in down["why"]
    assert (ready["server"], ready["state"]) == (url, "ready")
    assert ready["models"] == [
        {"name": "echo", "version": "1", "state": "READY", "reason": ""}
    ]
    assert 0.0 < ready["latency_s"] < 2.0


def test_a_server_that_refuses_admission_is_saturated(sonic):
    faults = FaultPlan().refuse_admission()
    with MockServer([ECHO], faults=faults) as server:
        result = sonic("servers", server.url, "--json")

    (report,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["state"] == "saturated"
    assert report["latency_s"] > 0.0


def test_a_server_that_never_answers_is_unreachable_in_time(sonic):
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        url = f"grpc://127.0.0.1:{black_hole.getsockname()[1]}"
        result = sonic("servers", url, "--json", "--timeout", 0.2)

    (report,) = json.loads(result.stdout)
    assert report["state"] == "unreachable"


def test_a_token_opens_the_door(sonic, tmp_path):
    token = tmp_path / "token"
    token.write_text("canary\n")
    with MockServer([ECHO], faults=FaultPlan().require_token("canary")) as server:
        denied = sonic("servers", server.url, "--json")
        ready = sonic("servers", server.url, "--json", "--token-file", token)

    assert json.loads(denied.stdout)[0]["state"] == "denied"
    assert json.loads(ready.stdout)[0]["state"] == "ready"
    assert "canary" not in ready.output


def test_what_is_no_url_is_bad_usage(refused):
    assert "host or port missing" in refused("servers", "grpc://", status=2)
