"""The command of tritonserver: its arguments and its environment, or a container's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sonic_base import ConfigError, Secret
from sonic_tracking.engines.triton_installation import TritonInstallation

__all__ = [
    "Container",
    "Ports",
    "ServerTls",
    "TritonOptions",
    "container_command",
    "triton_arguments",
    "triton_environ",
]

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
    """Ports of the three endpoints."""

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
    """Options of a server, beside its repository and its ports."""

    host: str = "127.0.0.1"

    models: tuple[str, ...] = ()
    """Load only these models, and others on request; by default all."""

    is_complete: bool = False
    """Whether the configurations in the repository are complete, as those that we
    write. Otherwise Triton asks each model for missing entries, in a process of its
    own, which doubles the time to start."""

    tls: ServerTls | None = None

    token: Secret | None = None
    """Clients must send it with every call: over HTTP as a bearer token, over gRPC as
    ``triton-grpc-protocol-authorization: Bearer TOKEN``, because Triton expects its own
    prefix there. Every user of this machine can read it on tritonserver's command line:
    there is no other way to pass it."""

    exit_limit_s: float = 30.0
    """Seconds for requests in flight to finish when the server is stopped."""

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
        header = f"{RESTRICTED}:authorization=Bearer {options.token.reveal()}"
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
    """Return the environment of tritonserver: search paths, and limits of threads.

    Parameters
    ----------
    installation : TritonInstallation
    threads : int
        Threads of each model instance; otherwise torch and BLAS would use all cores for
        each of them.
    inherited : mapping
        Usually ``os.environ``. `threads` replaces its thread variables.
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


Runtime = Literal["docker", "podman", "apptainer"]
REPOSITORY = "/models"
TLS_FOLDER = "/tls"
INSIDE = Ports(grpc=8001, http=8000, metrics=8002)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An image with tritonserver and the imports of the models, and its runtime."""

    runtime: Runtime
    image: str
    gpus: bool = False

    @classmethod
    def parse(cls, text: str, *, gpus: bool = False) -> Container:
        """Parse ``docker:IMAGE``, ``podman:IMAGE`` or ``apptainer:IMAGE``.

        Raises
        ------
        ConfigError
            If the text has another form.
        """
        for runtime in get_args(Runtime):
            image = text.removeprefix(f"{runtime}:")
            if image != text and image:
                return cls(runtime=runtime, image=image, gpus=gpus)
        raise ConfigError(
            f"container: expected docker:IMAGE, podman:IMAGE or apptainer:IMAGE, such "
            f"as docker:nvcr.io/nvidia/tritonserver:24.10-py3, got {text!r}"
        )

    def check(self) -> None:
        """Refuse a runtime that is not installed.

        Raises
        ------
        ConfigError
            The message names it.
        """
        if shutil.which(self.runtime) is None:
            raise ConfigError(f"container: there is no {self.runtime} on PATH")


def container_command(
    container: Container,
    repository: Path,
    ports: Ports,
    options: TritonOptions,
    threads: int,
) -> list[str]:
    """Return the command that serves `repository` on loopback, in the foreground.

    docker and podman map the three ports to those of the container. apptainer shares
    the network of the machine, so the server itself listens on them.
    """
    if container.runtime == "apptainer":
        return _apptainer(container, repository, ports, options, threads)
    run = [container.runtime, "run", "--rm", "--init", "--shm-size=1g"]
    run += ["--gpus=all"] if container.gpus else []
    for outside, inside in (
        (ports.grpc, INSIDE.grpc),
        (ports.http, INSIDE.http),
        (ports.metrics, INSIDE.metrics),
    ):
        run.append(f"--publish={options.host}:{outside}:{inside}")
    run += [f"--volume={mount}:ro" for mount in _mounts(repository, options)]
    run += [f"--env={name}={threads}" for name in THREAD_VARIABLES]
    inside_options = replace(_inside(options), host="0.0.0.0")  # the container's own
    arguments = triton_arguments(REPOSITORY, INSIDE, inside_options)
    return [*run, container.image, "tritonserver", *arguments]


def _apptainer(
    container: Container,
    repository: Path,
    ports: Ports,
    options: TritonOptions,
    threads: int,
) -> list[str]:
    run = ["apptainer", "exec"]
    run += ["--nv"] if container.gpus else []
    run += [f"--bind={mount}:ro" for mount in _mounts(repository, options)]
    run += [f"--env={name}={threads}" for name in THREAD_VARIABLES]
    arguments = triton_arguments(REPOSITORY, ports, _inside(options))
    return [*run, container.image, "tritonserver", *arguments]


def _mounts(repository: Path, options: TritonOptions) -> list[str]:
    """Return ``SOURCE:TARGET`` of every path that the server reads."""
    mounts = [f"{repository.resolve()}:{REPOSITORY}"]
    tls = options.tls
    if tls is not None:
        files = filter(None, (tls.certificate, tls.key, tls.client_roots))
        mounts += [f"{file.resolve()}:{TLS_FOLDER}/{file.name}" for file in files]
    return mounts


def _inside(options: TritonOptions) -> TritonOptions:
    """Return the options with the TLS files at their paths in the container."""
    if options.tls is None:
        return options
    tls = options.tls
    folder = Path(TLS_FOLDER)
    moved = replace(
        tls,
        certificate=folder / tls.certificate.name,
        key=folder / tls.key.name,
        client_roots=tls.client_roots and folder / tls.client_roots.name,
    )
    return replace(options, tls=moved)
