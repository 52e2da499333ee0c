"""tritonserver out of a container image: the command lines of three runtimes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sonic_base.errors import ConfigError
from sonic_tracking.engines.triton_command import (
    THREAD_VARIABLES,
    Ports,
    TritonOptions,
    triton_arguments,
)

__all__ = ["Container", "container_command"]

Runtime = Literal["docker", "podman", "apptainer"]
REPOSITORY = "/models"
TLS_FOLDER = "/tls"
INSIDE = Ports(grpc=8001, http=8000, metrics=8002)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An image that has tritonserver, and what the models import, by its runtime."""

    runtime: Runtime
    image: str
    gpus: bool = False

    @classmethod
    def parse(cls, text: str, *, gpus: bool = False) -> Container:
        """From ``docker:IMAGE``, ``podman:IMAGE`` or ``apptainer:IMAGE``.

        Raises
        ------
        ConfigError
            If it is none of these.
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
            Naming it.
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
    """The whole command that serves `repository` on loopback, in the foreground.

    docker and podman map the three ports to those of the container; apptainer shares
    the network of the machine, so there the server itself listens on them.
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
    """``SOURCE:TARGET`` of all that the server reads."""
    mounts = [f"{repository.resolve()}:{REPOSITORY}"]
    tls = options.tls
    if tls is not None:
        files = filter(None, (tls.certificate, tls.key, tls.client_roots))
        mounts += [f"{file.resolve()}:{TLS_FOLDER}/{file.name}" for file in files]
    return mounts


def _inside(options: TritonOptions) -> TritonOptions:
    """The options with the files of TLS where the container sees them."""
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
