"""How tritonserver is called: its arguments and its environment, from plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sonic_tracking.engines.triton_installation import TritonInstallation

__all__ = ["Ports", "ServerTls", "TritonOptions", "triton_arguments", "triton_environ"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
RESTRICTED = (
    "health,metadata,inference,shared-memory,model-config,model-repository,"
    "statistics,trace,logging"
)
"""Every group of calls that tritonserver can put behind a header: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the three endpoints listen."""

    grpc: int
    http: int
    metrics: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """TLS of the gRPC endpoint, by PEM files. tritonserver has none for HTTP."""

    certificate: Path
    key: Path
    client_roots: Path | None = None
    """Certificates that sign those of clients; with it a client must show one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonOptions:
    """What a server is asked for, beside its repository and its ports."""

    host: str = "127.0.0.1"

    models: tuple[str, ...] = ()
    """Load these models alone, and others on request; all unless given."""

    is_complete: bool = False
    """Whether the configurations of the repository are complete, as those that we
    write: Triton otherwise asks each model for what is missing, in a process of its
    own, which doubles the time to start."""

    tls: ServerTls | None = None

    token: str | None = field(default=None, repr=False)
    """Clients must send it with every call: over HTTP as a bearer token, over gRPC as
    ``triton-grpc-protocol-authorization: Bearer TOKEN``, since Triton looks for its own
    prefix there. It stands on the command line, where every user of this machine can
    read it: tritonserver takes it no other way."""

    exit_limit_s: float = 30.0
    """How long requests in flight may go on when the server is told to stop."""

    extra: tuple[str, ...] = ()
    """Further arguments, as they are."""


def triton_arguments(
    repository: str, ports: Ports, options: TritonOptions
) -> list[str]:
    """Arguments of tritonserver, the program itself left out."""
    arguments = [
        f"--model-repository={repository}",
        f"--grpc-address={options.host}",
        f"--http-address={options.host}",
        f"--metrics-address={options.host}",
        f"--grpc-port={ports.grpc}",
        f"--http-port={ports.http}",
        f"--metrics-port={ports.metrics}",
        f"--exit-timeout-secs={max(1, round(options.exit_limit_s))}",
    ]
    if options.models:
        arguments.append("--model-control-mode=explicit")
        arguments += [f"--load-model={name}" for name in options.models]
    if options.is_complete:
        arguments.append("--disable-auto-complete-config")
    if options.tls is not None:
        arguments += _tls_arguments(options.tls)
    if options.token is not None:
        header = f"{RESTRICTED}:authorization=Bearer {options.token}"
        arguments.append(f"--grpc-restricted-protocol={header}")
        arguments.append(f"--http-restricted-api={header}")
    return [*arguments, *options.extra]


def _tls_arguments(tls: ServerTls) -> list[str]:
    arguments = [
        "--allow-http=false",  # it would be the same service in clear text
        f"--grpc-server-cert={tls.certificate}",
        f"--grpc-server-key={tls.key}",
    ]
    if tls.client_roots is None:
        return [*arguments, "--grpc-use-ssl=true"]
    return [
        *arguments,
        "--grpc-use-ssl-mutual=true",
        f"--grpc-root-cert={tls.client_roots}",
    ]


def triton_environ(
    installation: TritonInstallation, threads: int, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Environment of tritonserver: `inherited`, its search paths, its thread caps.

    Parameters
    ----------
    installation : TritonInstallation
    threads : int
        Threads that each model instance may compute with: torch and BLAS would
        otherwise take all cores for each of them.
    inherited : mapping
        Usually ``os.environ``. Thread variables in it give way to `threads`.
    """
    environ = dict(inherited)
    environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    for name, folders in (
        ("LD_LIBRARY_PATH", installation.library_path),
        ("PATH", installation.program_path),
    ):
        value = _joined_path(folders, environ.get(name, ""))
        if value:
            environ[name] = value
    return environ


def _joined_path(folders: Sequence[str], inherited: str) -> str:
    return os.pathsep.join(filter(None, (*folders, inherited)))
