"""A real tritonserver as our child process."""

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from sonic_base import Secret
from sonic_client import FallbackServer
from sonic_tracking.engines.triton import TritonServer, TritonStartError
from sonic_tracking.engines.triton_command import ServerTls, TritonOptions

pytestmark = pytest.mark.triton

LIMIT_S = 30.0
TOKEN = {"triton-grpc-protocol-authorization": "Bearer s3cret"}
PARENT = """
import os, signal, sys
from pathlib import Path
from sonic_tracking.engines.triton import TritonServer

python = Path(sys.argv[2]) if sys.argv[2:] else None
server = TritonServer(Path(sys.argv[1]), python=python)
server.start()
print(server.pid, flush=True)
signal.pause()
"""
FAILS = """
class TritonPythonModel:
    def initialize(self, args):
        raise RuntimeError("no weights in here")
"""
NEVER_READY = """
import signal

class TritonPythonModel:
    def initialize(self, args):
        signal.pause()
"""
THREADS = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        y = np.array([os.environ["OMP_NUM_THREADS"]], dtype=np.float32)
        response = pb_utils.InferenceResponse([pb_utils.Tensor("Y", y)])
        return [response for _ in requests]
"""


@pytest.fixture
def serve(triton_python):
    """A server that is not started yet."""

    def make(repository: Path, **options) -> TritonServer:
        return TritonServer(repository, python=triton_python, **options)

    return make


def double(url: str, *, headers=None, **channel) -> list[float]:
    x = triton.InferInput("X", [3], "FP32")
    x.set_data_from_numpy(np.array([1.0, 2.0, 3.0], dtype=np.float32))
    address = url.partition("://")[2]
    with triton.InferenceServerClient(address, **channel) as client:
        return client.infer("double", [x], headers=headers).as_numpy("Y").tolist()


def traces(name: str, tmp_path: Path) -> list[Path]:
    """The shared memory and temporary files of servers of this name."""
    return [*Path("/dev/shm").glob(f"{name}*"), *tmp_path.glob(f"{name}*")]


def name_of(server: TritonServer) -> str:
    command = Path(f"/proc/{server.pid}/cmdline").read_text()
    return command.partition("shm-region-prefix-name=")[2].partition("\0")[0]


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_serves_a_repository_on_free_ports_and_leaves_nothing_behind(
    serve, repository, tmp_path
):
    with serve(repository) as server:
        assert isinstance(server, FallbackServer)
        assert server.url.startswith("grpc://127.0.0.1:")
        assert server.http_url.startswith("http://127.0.0.1:")
        assert double(server.url) == [2.0, 4.0, 6.0]
        assert Path(f"/proc/{server.pid}/comm").read_text() == "tritonserver\n"
        assert "double" in server.log.read_text()
        pid, name = server.pid, name_of(server)
        assert traces(name, tmp_path)

    assert not Path(f"/proc/{pid}").exists()
    assert traces(name, tmp_path) == []
    assert list(tmp_path.glob("sonic-triton-*.log")) == []


def test_can_be_started_again_and_beside_another_one(serve, repository):
    server = serve(repository)
    with server:
        first = server.url

    with server, serve(repository) as other:
        assert other.url != server.url
        assert double(server.url) == double(other.url) == [2.0, 4.0, 6.0]
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    assert first.startswith("grpc://")


def test_model_that_fails_to_load_is_told_in_one_line(serve, repository_of):
    server = serve(repository_of(FAILS))

    with pytest.raises(TritonStartError) as caught:
        server.start()

    error = caught.value
    assert "failed to load 'double' version 1: " in str(error)
    assert "no weights in here; mend the model" in str(error)
    assert "\n" not in str(error)
    assert r"\n" not in str(error)
    assert "no weights in here" in Path(error.log).read_text()
    assert "no weights in here" in error.log_tail
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_server_that_never_comes_up_ends_at_the_limit(serve, repository_of, tmp_path):
    log = tmp_path / "triton.log"
    server = serve(repository_of(NEVER_READY), start_limit_s=3.0, log=log)

    with pytest.raises(TritonStartError, match=r"was not ready within 3 s") as caught:
        server.start()

    assert str(log) in str(caught.value)
    assert log.read_text()
    assert list(tmp_path.glob("sonic-triton-*")) == []


def test_port_that_is_taken_is_named(serve, repository):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(TritonStartError, match=f"{port}.*already in use"):
            serve(repository, grpc_port=port).start()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_server_ends_with_its_parent(number, repository, triton_python, tmp_path):
    arguments = [str(repository), *([str(triton_python)] if triton_python else [])]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True
    )
    server = os.pidfd_open(int(parent.stdout.readline()))
    poll = select.poll()
    poll.register(server, select.POLLIN)

    parent.send_signal(number)
    parent.communicate()

    assert poll.poll(LIMIT_S * 1000)


def test_instances_compute_with_the_threads_they_were_given(serve, repository_of):
    with serve(repository_of(THREADS), threads=3) as server:
        assert double(server.url) == [3.0]


def test_calls_without_the_token_are_refused(serve, repository):
    with serve(repository, options=TritonOptions(token=Secret("s3cret"))) as server:
        with pytest.raises(InferenceServerException, match="restricted"):
            double(server.url)
        assert double(server.url, headers=TOKEN) == [2.0, 4.0, 6.0]


def test_tls_is_spoken_with_the_given_certificate(serve, repository, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "roots.pem")
    tls = ServerTls(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")

    with serve(repository, options=TritonOptions(tls=tls)) as server:
        assert server.url.startswith("grpcs://")
        assert server.http_url is None
        answer = double(
            server.url, ssl=True, root_certificates=str(tmp_path / "roots.pem")
        )

    assert answer == [2.0, 4.0, 6.0]


def test_named_models_alone_are_loaded(serve, repository):
    with (
        serve(repository, options=TritonOptions(models=("double",))) as server,
        triton.InferenceServerClient(server.url.removeprefix("grpc://")) as client,
    ):
        client.unload_model("double")
        assert not client.is_model_ready("double")
        client.load_model("double")
        assert client.is_model_ready("double")
