"""A real Triton Inference Server, as a process of this one."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sonic_base import ConfigError
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.engines.triton_command import Container, Ports, TritonOptions
from sonic_tracking.engines.triton_installation import TritonInstallation, find_triton
from sonic_tracking.engines.triton_process import (
    TritonFailedError,
    TritonProcess,
    TritonStartError,
    free_ports,
    plan_launch,
)
from sonic_tracking.errors import needs_extra

__all__ = [
    "TrackingTriton",
    "TritonFailedError",
    "TritonServer",
    "TritonStartError",
    "written_repository",
]

logger = logging.getLogger(__name__)

PORT_TRIES = 3
"""A free port may be taken by another process before tritonserver opens it."""


class TritonServer:
    """Serves a model repository with NVIDIA's tritonserver, on loopback.

    A context manager, and a `sonic_client.FallbackServer`. The server ends with this
    process, even if this process is killed. It may be started again.

    Parameters
    ----------
    repository : Path
        Model repository, such as `sonic repository` writes.
    python : Path, optional
        Interpreter of the environment with the extra ``triton`` and all imports of
        the models; by default this interpreter.
    container : Container, optional
        Run the server of a container image instead.
    grpc_port, http_port, metrics_port : int
        0 takes a free one.
    threads : int
        Threads that each model instance may compute with.
    options : TritonOptions
        Address, TLS, token, models to load, further arguments.
    start_limit_s : float
        Seconds until it must be ready, loading the models included.
    log : Path, optional
        File for the server's output, replaced at each start. Without it, a temporary
        file, which is kept only if the server does not come up.

    Examples
    --------
    >>> with TritonServer(Path("model_repository")) as server:
    ...     client = Client(ClientConfig(servers=server.url, model_name="exatrkx"))
    """

    def __init__(
        self,
        repository: Path,
        *,
        python: Path | None = None,
        container: Container | None = None,
        grpc_port: int = 0,
        http_port: int = 0,
        metrics_port: int = 0,
        threads: int = 1,
        options: TritonOptions | None = None,
        start_limit_s: float = 120.0,
        log: Path | None = None,
    ) -> None:
        self.repository = repository
        self.options = options or TritonOptions()
        self._python, self._container = python, container
        self._wanted = Ports(grpc=grpc_port, http=http_port, metrics=metrics_port)
        self._threads = threads
        self._start_limit_s = start_limit_s
        self._log = log
        self._started: tuple[TritonProcess, Ports] | None = None

    @property
    def url(self) -> str:
        """Its gRPC endpoint: ``grpc://127.0.0.1:PORT``, or ``grpcs://`` with TLS.

        Raises
        ------
        RuntimeError
            If the server was not started; the properties below raise it as well.
        """
        scheme = "grpc" if self.options.tls is None else "grpcs"
        return f"{scheme}://{self.options.host}:{self._running[1].grpc}"

    @property
    def http_url(self) -> str | None:
        """Its HTTP endpoint; None with TLS, which tritonserver has for gRPC only."""
        if self.options.tls is not None:
            return None
        return f"http://{self.options.host}:{self._running[1].http}"

    @property
    def metrics_url(self) -> str:
        """Its metrics for Prometheus."""
        return f"http://{self.options.host}:{self._running[1].metrics}/metrics"

    @property
    def pid(self) -> int:
        """Process id of tritonserver, or of the client of the container's runtime."""
        return self._running[0].pid

    @property
    def log(self) -> Path:
        """File with its output so far."""
        return self._running[0].log

    @property
    def _running(self) -> tuple[TritonProcess, Ports]:
        if self._started is None:
            raise RuntimeError("the Triton server is not running: start it first")
        return self._started

    def start(self) -> None:
        """Run it; returns when all its models are ready.

        Raises
        ------
        TritonNotFoundError, ConfigError
            If there is no tritonserver, or no such container runtime.
        TritonStartError
            If it does not come up within the limit.
        RuntimeError
            If the server is running already.
        """
        if self._started is not None:
            raise RuntimeError(f"the Triton server is running already at {self.url}")
        server: TritonInstallation | Container
        if self._container is None:
            server = find_triton(self._python)
        else:
            self._container.check()
            server = self._container
        for tries_left in reversed(range(PORT_TRIES)):
            try:
                self._started = self._launch(server)
                break
            except TritonStartError as error:
                if not (tries_left and self._may_try_other_ports(error)):
                    raise
        logger.info("Triton server %d listens at %s", self.pid, self.url)

    def stop(self) -> None:
        """Let requests in flight finish, then end it; nothing if not started."""
        if self._started is not None:
            (process, _), self._started = self._started, None
            process.stop()
            self._discard(process.log)
            logger.info("Triton server %d has stopped", process.pid)

    def wait(self) -> None:
        """Return when the server was stopped, by another thread.

        Raises
        ------
        TritonFailedError
            If it ended by itself.
        """
        process, _ = self._running
        process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(
        self, server: TritonInstallation | Container
    ) -> tuple[TritonProcess, Ports]:
        host = self.options.host
        ports = free_ports(self._wanted, host)
        plan = plan_launch(server, self.repository, ports, self.options, self._threads)
        process = TritonProcess(
            plan,
            metrics=f"{host}:{ports.metrics}",
            log=self._log or _temporary_log(),
            grace_s=self.options.exit_limit_s,
        )
        try:
            process.await_ready(self._start_limit_s)
        except TritonStartError:
            process.stop()
            raise  # its log is kept, because the message names it
        except BaseException:
            process.stop()
            self._discard(process.log)
            raise
        return process, ports

    def _may_try_other_ports(self, error: TritonStartError) -> bool:
        wanted = self._wanted
        is_free_choice = 0 in (wanted.grpc, wanted.http, wanted.metrics)
        if not (is_free_choice and "already in use" in error.reason):
            return False
        self._discard(Path(error.log))
        return True

    def _discard(self, log: Path) -> None:
        if self._log is None:
            log.unlink(missing_ok=True)


def _temporary_log() -> Path:
    descriptor, name = tempfile.mkstemp(prefix="sonic-triton-", suffix=".log")
    os.close(descriptor)
    return Path(name)


MOCK_ONLY = ("faults", "cassette", "profile")


class TrackingTriton(TritonServer):
    """A tritonserver of the tracking models, whose repository is written at the start.

    Raises
    ------
    ConfigError
        If only the server in this process supports a setting.
    """

    def __init__(self, settings: EngineSettings) -> None:
        given = [n for n in MOCK_ONLY if getattr(settings, n) is not None]
        if given:
            raise ConfigError(
                f"{', '.join(given)}: only the server in this process supports it, "
                "not a real Triton"
            )
        self._settings = settings
        self._written = ExitStack()  # the folder of the repository
        super().__init__(
            settings.repository or Path("not yet written"),
            python=settings.python,
            container=settings.container,
            grpc_port=settings.grpc_port,
            http_port=settings.http_port or 0,
            metrics_port=settings.metrics_port or 0,
            threads=settings.threads,
            options=_options(settings),
            start_limit_s=settings.start_limit_s,
            log=settings.log,
        )

    def start(self) -> None:
        """Write the repository, unless one was named, and serve it.

        Raises
        ------
        MissingExtraError
            If the repository must be written, and the pipeline is not installed.
        WeightsError, PipelineConfigError
            If it cannot be written for these weights, models and instances.
        TritonNotFoundError, TritonStartError, ConfigError
            As `TritonServer.start`.
        """
        settings = self._settings
        with ExitStack() as written:
            if settings.repository is None:
                self.repository = written.enter_context(
                    written_repository(
                        settings.models,
                        settings.weights,
                        instances=settings.instances,
                        gpu=settings.gpu,
                        any_input=settings.any_input,
                    )
                )
            super().start()
            self._written = written.pop_all()

    def stop(self) -> None:
        """Stop it and remove its repository if that was written for it."""
        try:
            super().stop()
        finally:
            self._written.close()


def _options(settings: EngineSettings) -> TritonOptions:
    is_explicit = settings.model_control == "explicit"
    if settings.repository is not None:
        named = () if settings.is_all else settings.models
    else:
        named = settings.models if is_explicit else ()
    return TritonOptions(
        host=settings.host,
        models=named,
        tls=settings.tls,
        token=settings.token,
        is_complete=settings.repository is None,
        extra=("--model-control-mode=explicit",) if is_explicit and not named else (),
    )


@contextmanager
def written_repository(
    models: Iterable[str],
    weights: Path | None,
    *,
    instances: int,
    gpu: bool,
    any_input: bool = False,
) -> Iterator[Path]:
    """Write a repository of these models; it is removed at the end of the block.

    Raises
    ------
    MissingExtraError
        If the pipeline is not installed.
    WeightsError, PipelineConfigError
        If it cannot be written for these weights, models and instances.
    """
    with needs_extra("pipeline"):
        from exatrkx_pipeline.repository import (  # noqa: PLC0415
            plan_repository,
            write_repository,
        )
    plans = plan_repository(
        models,
        weights=weights,
        instances=instances,
        device="gpu" if gpu else "cpu",
        any_input=any_input,
    )
    with tempfile.TemporaryDirectory(prefix="sonic-repository-") as folder:
        repository = Path(folder) / "models"
        write_repository(repository, plans, weights)
        yield repository
