"""Command lines of container runtimes; none of them is run."""

from pathlib import Path

import pytest

from sonic_client import ConfigError
from sonic_tracking.engines.triton_command import (
    Container,
    Ports,
    ServerTls,
    TritonOptions,
    container_command,
)

PORTS = Ports(grpc=11, http=12, metrics=13)
REPOSITORY = Path("/data/repository")


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_docker_and_podman_publish_the_ports_on_loopback_alone(runtime):
    container = Container.parse(f"{runtime}:registry:5000/triton:24.10")

    command = container_command(container, REPOSITORY, PORTS, TritonOptions(), 1)

    assert command == [
        runtime,
        "run",
        "--rm",
        "--init",
        "--shm-size=1g",
        "--publish=127.0.0.1:11:8001",
        "--publish=127.0.0.1:12:8000",
        "--publish=127.0.0.1:13:8002",
        "--volume=/data/repository:/models:ro",
        "--env=OMP_NUM_THREADS=1",
        "--env=MKL_NUM_THREADS=1",
        "--env=OPENBLAS_NUM_THREADS=1",
        "--env=NUMBA_NUM_THREADS=1",
        "registry:5000/triton:24.10",
        "tritonserver",
        "--model-repository=/models",
        "--grpc-address=0.0.0.0",
        "--http-address=0.0.0.0",
        "--metrics-address=0.0.0.0",
        "--grpc-port=8001",
        "--http-port=8000",
        "--metrics-port=8002",
        "--exit-timeout-secs=30",
    ]


def test_apptainer_shares_the_network_so_the_server_listens_on_the_ports_itself():
    container = Container.parse("apptainer:/images/triton.sif", gpus=True)

    command = container_command(container, REPOSITORY, PORTS, TritonOptions(), 3)

    assert command[:4] == [
        "apptainer",
        "exec",
        "--nv",
        "--bind=/data/repository:/models:ro",
    ]
    assert "--env=OMP_NUM_THREADS=3" in command
    image = command.index("/images/triton.sif")
    assert command[image + 1 :][:3] == [
        "tritonserver",
        "--model-repository=/models",
        "--grpc-address=127.0.0.1",
    ]
    assert "--grpc-port=11" in command


def test_gpus_are_passed_to_docker():
    container = Container.parse("docker:image", gpus=True)

    command = container_command(container, REPOSITORY, PORTS, TritonOptions(), 1)

    assert "--gpus=all" in command


def test_files_of_tls_are_mounted_and_named_as_the_container_sees_them():
    tls = ServerTls(certificate=Path("/pki/c.pem"), key=Path("/pki/k.pem"))
    container = Container.parse("docker:image")

    command = container_command(container, REPOSITORY, PORTS, TritonOptions(tls=tls), 1)

    assert "--volume=/pki/c.pem:/tls/c.pem:ro" in command
    assert "--volume=/pki/k.pem:/tls/k.pem:ro" in command
    assert "--grpc-server-key=/tls/k.pem" in command


@pytest.mark.parametrize("text", ["image", "docker:", "lxc:image", ""])
def test_other_names_are_refused_with_the_form_that_is_expected(text):
    with pytest.raises(ConfigError, match="expected docker:IMAGE"):
        Container.parse(text)


def test_runtime_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ConfigError, match="no podman on PATH"):
        Container.parse("podman:image").check()
