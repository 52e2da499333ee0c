"""The command line and the environment of tritonserver."""

from pathlib import Path

from sonic_base import Secret
from sonic_tracking.engines.triton_command import (
    Ports,
    ServerTls,
    TritonOptions,
    triton_arguments,
    triton_environ,
)
from sonic_tracking.engines.triton_installation import TritonInstallation

PORTS = Ports(grpc=11, http=12, metrics=13)
TLS = ServerTls(certificate=Path("/c.pem"), key=Path("/k.pem"))


def test_listens_on_loopback_at_the_given_ports():
    arguments = triton_arguments("/repo", PORTS, TritonOptions())

    assert arguments == [
        "--model-repository=/repo",
        "--grpc-address=127.0.0.1",
        "--http-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        "--grpc-port=11",
        "--http-port=12",
        "--metrics-port=13",
        "--exit-timeout-secs=30",
    ]


def test_named_models_alone_are_loaded():
    arguments = triton_arguments("/repo", PORTS, TritonOptions(models=("a", "b")))

    assert arguments[-3:] == [
        "--model-control-mode=explicit",
        "--load-model=a",
        "--load-model=b",
    ]


def test_complete_configurations_are_taken_as_they_are():
    arguments = triton_arguments("/repo", PORTS, TritonOptions(is_complete=True))

    assert arguments[-1] == "--disable-auto-complete-config"


def test_tls_turns_off_http_in_clear_text():
    arguments = triton_arguments("/repo", PORTS, TritonOptions(tls=TLS))

    assert "--allow-http=false" in arguments
    assert "--grpc-use-ssl=true" in arguments
    assert "--grpc-server-cert=/c.pem" in arguments
    assert "--grpc-server-key=/k.pem" in arguments


def test_client_certificates_are_asked_for_if_their_roots_are_given():
    tls = ServerTls(
        certificate=Path("/c.pem"), key=Path("/k.pem"), client_roots=Path("/r.pem")
    )

    arguments = triton_arguments("/repo", PORTS, TritonOptions(tls=tls))

    assert "--grpc-use-ssl-mutual=true" in arguments
    assert "--grpc-root-cert=/r.pem" in arguments


def test_token_guards_every_group_of_calls_on_both_endpoints():
    groups = (
        "health,metadata,inference,shared-memory,model-config,model-repository,"
        "statistics,trace,logging"
    )

    arguments = triton_arguments("/repo", PORTS, TritonOptions(token=Secret("s3cret")))

    value = f"{groups}:authorization=Bearer s3cret"
    assert f"--grpc-restricted-protocol={value}" in arguments
    assert f"--http-restricted-api={value}" in arguments


def test_token_is_not_printed():
    assert "s3cret" not in repr(TritonOptions(token=Secret("s3cret")))


def test_environment_caps_threads_and_puts_the_installation_first():
    installation = TritonInstallation(
        binary=Path("/t/tritonserver"),
        library_path=("/libs", "/python/lib"),
        program_path=("/venv/bin",),
    )
    inherited = {"PATH": "/usr/bin", "OMP_NUM_THREADS": "64", "HOME": "/home/me"}

    environ = triton_environ(installation, 2, inherited)

    assert environ == {
        "HOME": "/home/me",
        "PATH": "/venv/bin:/usr/bin",
        "LD_LIBRARY_PATH": "/libs:/python/lib",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "NUMBA_NUM_THREADS": "2",
    }
    assert inherited["OMP_NUM_THREADS"] == "64"
