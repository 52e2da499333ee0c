"""A real Triton Inference Server, as a process of this one."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from sonic_tracking.engines.container import Container
from sonic_tracking.engines.ports import free_ports
from sonic_tracking.engines.triton_command import Ports, TritonOptions
from sonic_tracking.engines.triton_installation import TritonInstallation, find_triton
from sonic_tracking.engines.triton_process import (
    TritonFailedError,
    TritonProcess,
    TritonStartError,
    plan_launch,
)

__all__ = ["TritonFailedError", "TritonServer", "TritonStartError"]

logger = logging.getLogger(__name__)

PORT_TRIES = 3
"""A port that was free may be taken before tritonserver gets to it."""


class TritonServer:
    """Serves a model repository with NVIDIA's tritonserver, on loopback.

    A context manager, and a `sonic_client.FallbackServer`. The server ends with this
    process, even if that is killed. It may be started again.

    Parameters
    ----------
    repository : Path
        Model repository, such as `sonic repository` writes.
    python : Path, optional
        Interpreter of the environment with the extra ``triton`` and all that the
        models import; this interpreter unless given.
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
            If the server was not started; so do the properties below.
        """
        scheme = "grpc" if self.options.tls is None else "grpcs"
        return f"{scheme}://{self.options.host}:{self._running[1].grpc}"

    @property
    def http_url(self) -> str | None:
        """Its HTTP endpoint; None with TLS, which tritonserver's HTTP has not."""
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
            raise  # its log stays, for the message names it
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
