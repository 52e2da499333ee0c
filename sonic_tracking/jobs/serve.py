"""The tracking models, a repository or a recording, served on this machine."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from exatrkx_pipeline.model_names import SERVED_MODELS
from sonic_base import ConfigError, Secret
from sonic_tracking.engines.choice import Engine, EngineName, engine_of
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.engines.triton_command import Container, ServerTls

__all__ = ["RunningServer", "serve"]

logger = logging.getLogger(__name__)

PathLike = str | Path


def serve(
    engine: EngineName = "mock",
    *,
    weights: PathLike | None = None,
    repository: PathLike | None = None,
    load_models: Sequence[str] = (),
    model_control: Literal["none", "explicit"] = "none",
    faults: PathLike | None = None,
    cassette: PathLike | None = None,
    profile: str | None = None,
    instances: int = 1,
    threads: int = 1,
    device: Literal["cpu", "gpu"] = "cpu",
    host: str = "127.0.0.1",
    grpc_port: int = 0,
    http_port: int = 0,
    metrics_port: int = 0,
    python: PathLike | None = None,
    container: str | None = None,
    start_limit_s: float = 120.0,
    log: PathLike | None = None,
    tls_certificate: PathLike | None = None,
    tls_key: PathLike | None = None,
    tls_client_roots: PathLike | None = None,
    token_file: PathLike | None = None,
) -> RunningServer:
    """Start a server of the tracking models: ``sonic serve`` as a function.

    It runs until it is stopped, by `RunningServer.stop` or at the end of a ``with``
    block, or until this process ends.

    Parameters
    ----------
    engine : {"mock", "triton"}
        The server in this process, or NVIDIA's tritonserver.
    weights : path, optional
        Folder of weights; by default the bundled ones.
    repository : path, optional
        Model repository to serve in place of the tracking models.
    load_models : sequence of str
        Serve these models alone.
    model_control : {"none", "explicit"}
        Whether clients may load and unload models.
    faults : path, optional
        TOML file of the faults to inject (mock).
    cassette : path, optional
        Recorded answers to replay (mock).
    profile : str, optional
        Release of Triton whose behaviour it has, such as ``26.04``; ``24.10`` by
        default (mock).
    instances, threads : int
        Requests that each model computes at once, and threads of each of them.
    device : {"cpu", "gpu"}
        Where triton's models compute.
    host : str
        Address to listen on.
    grpc_port, http_port, metrics_port : int
        0 takes a free port.
    python : path, optional
        Interpreter of the environment with the extra ``triton`` and the pipeline.
    container : str, optional
        ``docker:IMAGE``, ``podman:IMAGE`` or ``apptainer:IMAGE`` with tritonserver.
    start_limit_s : float
        Seconds until it must be ready.
    log : path, optional
        File for the output of tritonserver.
    tls_certificate, tls_key, tls_client_roots : path, optional
        PEM files; triton then speaks TLS, over gRPC only.
    token_file : path, optional
        File with a token that clients must send.

    Returns
    -------
    RunningServer

    Raises
    ------
    ConfigError
        If the engine does not support a setting, or a file cannot be used.
    SonicError
        If the server does not start.

    Examples
    --------
    >>> from sonic_tracking import serve, track
    >>> with serve(weights="generic_pu0") as server:
    ...     result = track("events.root", server=server.url)
    """
    gpu = device == "gpu"
    image = None if container is None else Container.parse(container, gpus=gpu)
    settings = EngineSettings(
        models=tuple(load_models or SERVED_MODELS),
        is_all=not load_models,
        weights=_path(weights),
        repository=_path(repository),
        model_control=model_control,
        faults=_path(faults),
        cassette=_path(cassette),
        profile=profile,
        host=host,
        instances=instances,
        threads=threads,
        gpu=gpu,
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        python=_path(python) if engine == "triton" and image is None else None,
        container=image,
        start_limit_s=start_limit_s,
        log=_path(log),
        tls=_server_tls(
            _path(tls_certificate), _path(tls_key), _path(tls_client_roots)
        ),
        token=None if token_file is None else token_in(Path(token_file)),
    )
    server = engine_of(engine, settings)
    if not _is_loopback(host) and settings.token is None and settings.tls is None:
        logger.warning(
            "listening on %s: everybody who reaches this machine can use the server, "
            "and nothing checks who they are",
            host,
        )
    if model_control == "explicit" and settings.token is None and settings.tls is None:
        logger.warning(
            "every user of this machine can load and unload the models of %s: "
            "--token-file asks for a token",
            repository or "the server",
        )
    server.start()
    return RunningServer(engine, server)


class RunningServer:
    """A server on this machine that was started; a context manager that stops it.

    Attributes
    ----------
    engine : {"mock", "triton"}
    url : str
        Its gRPC endpoint.
    http_url, metrics_url : str or None
        Its other endpoints, if it has them.
    """

    def __init__(self, engine: EngineName, server: Engine) -> None:
        self.engine: EngineName = engine
        self._server = server
        self.url: str = server.url
        self.http_url: str | None = getattr(server, "http_url", None)
        self.metrics_url: str | None = getattr(server, "metrics_url", None)
        atexit.register(self.stop)

    def __repr__(self) -> str:
        return f"<RunningServer: {self.engine} at {self.url}>"

    def rows(self) -> list[tuple[str, str]]:
        """Return the endpoints for a table."""
        endpoints = (
            ("gRPC", self.url),
            ("HTTP", self.http_url),
            ("metrics", self.metrics_url),
        )
        return [(kind, url) for kind, url in endpoints if url is not None]

    def wait(self) -> None:
        """Return when another thread has stopped it.

        Raises
        ------
        SonicError
            If it ended by itself.
        """
        self._server.wait()

    def stop(self) -> None:
        """Stop it; does nothing the second time."""
        self._server.stop()
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _server_tls(
    certificate: Path | None, key: Path | None, client_roots: Path | None
) -> ServerTls | None:
    if certificate is None and key is None and client_roots is None:
        return None
    if certificate is None or key is None:
        raise ConfigError(
            "--tls-certificate and --tls-key are needed together, and with "
            "--tls-client-roots"
        )
    for file in filter(None, (certificate, key, client_roots)):
        if not file.is_file():
            raise ConfigError(f"{file}: no such file")
    return ServerTls(certificate=certificate, key=key, client_roots=client_roots)


def token_in(file: Path) -> Secret:
    """Return the token that a file holds.

    Raises
    ------
    ConfigError
        If it cannot be read, or holds anything else.
    """
    problem = "expected one token"
    try:
        token = Secret(file.read_text(encoding="utf-8").strip())
        if len(token.reveal().split()) == 1:
            return token
    except OSError as error:
        problem = f"cannot read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "cannot read: not UTF-8 text"
    # Raised outside of the handlers: a decoding error holds the file's content.
    raise ConfigError(f"--token-file {file}: {problem}")
