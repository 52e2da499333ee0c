"""`sonic serve`: a server in the foreground."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import sonic_tracking
from sonic_client import Client, ClientConfig, ConfigError, Request, ServerConfig
from sonic_client.fallback import fallback_server
from sonic_tracking.engines.choice import mock_fallback, triton_fallback


def served_urls(process: subprocess.Popen) -> dict[str, str]:
    """Return the endpoints that it prints when it is ready."""
    rows = {}
    for line in process.stdout:
        words = line.split()
        if not words:
            return rows
        rows[words[0]] = words[-1]
    raise AssertionError(f"ended: {process.communicate()}")


def serve(*arguments: object, **environ: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "sonic_tracking", "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def labels(url: str, n_points: int, model: str = "exatrkx", *, token=None, at=0.1):
    features = np.full((n_points, 3), at, dtype=np.float32)
    servers = ServerConfig(url=url, token=token)
    with Client(ClientConfig(servers=servers, model_name=model)) as client:
        return client.infer({"FEATURES": features})["LABELS"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_mock_serves_until_it_is_told_to_end(number, weights):
    process = serve(
        "--engine", "mock", "--weights", weights,
        "--grpc-port", 0, "--http-port", 0, "--metrics-port", 0,
    )  # fmt: skip
    urls = served_urls(process)
    assert labels(urls["gRPC"], 3).shape == (3,)

    process.send_signal(number)

    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0


def test_the_mock_behaves_as_the_release_that_is_asked_for(tmp_path):
    with (
        sonic_tracking.serve(repository=tmp_path, profile="26.04") as server,
        urllib.request.urlopen(f"{server.http_url}/v2") as answer,
    ):
        assert json.load(answer)["version"] == "2.68.0"

    with pytest.raises(ConfigError, match=r"--profile: unknown profile '26\.4'"):
        sonic_tracking.serve(repository=tmp_path, profile="26.4")


@pytest.mark.triton
@pytest.mark.usefixtures("triton_python")
@pytest.mark.timeout(120)
def test_triton_serves_until_it_is_told_to_end(tmp_path):
    process = serve(
        "--engine", "triton", "--load-model", "exatrkx", "--log", tmp_path / "log",
        "--grpc-port", 0, "--http-port", 0, "--metrics-port", 0,
    )  # fmt: skip
    urls = served_urls(process)
    assert urls.keys() >= {"gRPC", "HTTP", "metrics"}
    assert labels(urls["gRPC"], 3).shape == (3,)

    process.send_signal(signal.SIGTERM)

    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert "tritonserver" in (tmp_path / "log").read_text()


@pytest.mark.triton
@pytest.mark.usefixtures("triton_python")
@pytest.mark.timeout(120)
def test_triton_that_dies_ends_the_command_with_one_line(tmp_path):
    log = tmp_path / "log"
    process = serve(
        "--engine", "triton", "--load-model", "exatrkx", "--log", log,
        "--grpc-port", 0, "--http-port", 0, "--metrics-port", 0,
    )  # fmt: skip
    served_urls(process)
    supervisor = int(
        Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    )
    server = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()

    os.kill(int(server[0]), signal.SIGKILL)

    (line,) = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 1
    assert line.startswith("sonic: tritonserver ended with status 137")
    assert str(log) in line


def test_missing_triton_is_told_with_what_to_install(refused, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("SONIC_TRITON_PYTHON", raising=False)

    line = refused("serve", "--engine", "triton", "--load-model", "exatrkx", status=1)

    assert "pip install 'sonic-tracking[triton]'" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--container", "lxc:image"], "expected docker:IMAGE"),
        (["--tls-key", "k.pem"], "--tls-certificate and --tls-key are needed"),
        (["--token-file", "nowhere"], "cannot read"),
        (["--models", "a", "--weights", "b"], "only one of the two"),
    ],
    ids=["container", "tls", "token", "repository"],
)
def test_wrong_settings_are_told_in_one_line(refused, options, message):
    assert message in refused("serve", "--engine", "triton", *options, status=2)


def test_tls_is_nothing_that_the_mock_has(refused, tmp_path):
    files = [tmp_path / "certificate.pem", tmp_path / "key.pem"]
    for file in files:
        file.touch()

    line = refused(
        *("serve", "--tls-certificate", files[0], "--tls-key", files[1]), status=2
    )

    assert "tls: only a real Triton supports this" in line


def test_a_server_with_a_token_answers_nobody_else(tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret")
    token.chmod(0o600)
    (tmp_path / "models").mkdir()

    with sonic_tracking.serve(
        repository=tmp_path / "models", token_file=token
    ) as server:
        urls = [server.url, server.http_url]
        states = [report.state for report in sonic_tracking.servers(urls)]
        with_token = sonic_tracking.servers(urls, token_file=token)

    assert states == ["denied", "denied"]
    assert [report.state for report in with_token] == ["ready", "ready"]


@pytest.mark.parametrize("name", ["mock", "pipeline", "triton"])
def test_fallbacks_are_found_by_name_and_start_nothing_yet(name):
    server = fallback_server(name, "exatrkx", {})

    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_mock_fallback_serves_the_weights_it_is_given(weights):
    with mock_fallback("exatrkx", {"weights": str(weights)}) as server:
        assert labels(server.url, 5, token=server.token).shape == (5,)


def test_mock_fallback_answers_any_input_if_asked_to(weights):
    wanted = {"weights": str(weights), "any_input": "true"}
    with mock_fallback("exatrkx", wanted) as server:
        # 90 m from the beam
        assert labels(server.url, 50, token=server.token, at=90.0).shape == (50,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wieghts": "x"}, "unknown options wieghts"),
        ({"instances": "0"}, "instances must be a positive number"),
        ({"any_input": "yes"}, "any_input must be true or false"),
        ({"container": "image"}, "expected docker:IMAGE"),
    ],
)
def test_options_of_a_fallback_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        triton_fallback("exatrkx", options)


def test_mock_has_no_ensemble_to_fall_back_to():
    with pytest.raises(ConfigError, match="exatrkx and exatrkx_batch"):
        mock_fallback("exatrkx_ensemble", {})


def test_repository_is_served_with_its_faults(tmp_path):
    folder = tmp_path / "models" / "double"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text("""
        backend: "python"
        input { name: "FEATURES" data_type: TYPE_FP32 dims: [-1, 3] }
        output { name: "LABELS" data_type: TYPE_INT64 dims: [-1] }
    """)
    (folder / "1" / "model.py").write_text("""
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "FEATURES").as_numpy()
            labels = pb_utils.Tensor("LABELS", np.arange(len(x)))
            answers.append(pb_utils.InferenceResponse([labels]))
        return answers
""")
    (tmp_path / "plan.toml").write_text("""
        [[fault]]
        on = { numbers = [1] }
        refuse = { code = "UNAVAILABLE", text = "planned" }
    """)
    process = serve(
        "--models", tmp_path / "models", "--faults", tmp_path / "plan.toml",
        "--grpc-port", 0, "--http-port", 0, "--metrics-port", 0,
    )  # fmt: skip
    urls = served_urls(process)
    assert urls.keys() >= {"gRPC", "HTTP", "metrics"}

    with Client(ClientConfig(servers=urls["gRPC"], model_name="double")) as client:
        x = np.ones((3, 3), np.float32)
        (answer,) = client.map([Request(0, {"FEATURES": x})])
    with urllib.request.urlopen(urls["HTTP"] + "/v2/models/double/stats") as stats:
        counted = json.load(stats)["model_stats"][0]

    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0
    assert answer.outputs["LABELS"].tolist() == [0, 1, 2]
    assert answer.tries == 2
    assert counted["inference_count"] == 1


def test_address_that_others_reach_is_warned_of(weights, caplog):
    with sonic_tracking.serve(weights=weights, host="0.0.0.0"):
        (record,) = caplog.records

    assert record.levelname == "WARNING"
    assert record.message.startswith("listening on 0.0.0.0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--faults", "nowhere.toml"], "nowhere.toml: cannot read"),
        (["--cassette", "nowhere"], "cannot read: No such file"),
        (["--cassette", "a", "--models", "b"], "only one of the two"),
        (["--engine", "triton", "--faults", "x"], "faults: only the server in this"),
    ],
)
def test_what_the_mock_cannot_serve_is_told_in_one_line(refused, options, message):
    assert message in refused("serve", *options, status=2)


@pytest.mark.parametrize("has_token", [False, True])
def test_clients_that_may_load_models_without_a_token_are_warned_of(
    tmp_path, caplog, has_token
):
    (tmp_path / "models").mkdir()
    file = tmp_path / "token"
    file.write_text("t0ken-of-this-server")
    with sonic_tracking.serve(
        repository=tmp_path / "models",
        model_control="explicit",
        token_file=file if has_token else None,
    ):
        pass

    warned = "every user of this machine can load and unload" in caplog.text
    assert warned is not has_token
