"""The tracking models on a real Triton, their repository written when it starts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from sonic_cli.engines.settings import EngineSettings
from sonic_cli.engines.triton import TritonServer
from sonic_cli.engines.triton_command import TritonOptions
from sonic_cli.errors import needs_extra
from sonic_client.errors import ConfigError

__all__ = ["TrackingTriton"]


NOT_HERE = ("faults", "cassette")


class TrackingTriton:
    """A `FallbackServer` of tracking models that runs tritonserver.

    Nothing is loaded or written before it is started.

    Raises
    ------
    ConfigError
        If a setting is for the server in this process alone.
    """

    def __init__(self, settings: EngineSettings) -> None:
        given = [n for n in NOT_HERE if getattr(settings, n) is not None]
        if given:
            raise ConfigError(
                f"{', '.join(given)}: only the server in this process has this, not a "
                "real Triton"
            )
        self.settings = settings
        self._written: tempfile.TemporaryDirectory[str] | None = None
        self._server: TritonServer | None = None

    @property
    def server(self) -> TritonServer:
        """The server itself.

        Raises
        ------
        RuntimeError
            If it was not started; so do the properties below.
        """
        if self._server is None:
            raise RuntimeError("the Triton server is not running: start it first")
        return self._server

    @property
    def url(self) -> str:
        """Its gRPC endpoint."""
        return self.server.url

    @property
    def http_url(self) -> str | None:
        """Its HTTP endpoint, if it has one."""
        return self.server.http_url

    @property
    def metrics_url(self) -> str | None:
        """Its metrics for Prometheus."""
        return self.server.metrics_url

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.server.pid

    def start(self) -> None:
        """Write the repository, unless one was named, and serve it.

        Raises
        ------
        MissingExtraError
            If the repository is to be written, and the pipeline is not installed.
        WeightsError, PipelineConfigError
            If it cannot be written for these weights, models and instances.
        TritonNotFoundError, TritonStartError, ConfigError
            As `TritonServer.start`.
        """
        settings = self.settings
        server = TritonServer(
            settings.repository or self._write_repository(),
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
        try:
            server.start()
        except BaseException:
            self._remove_repository()
            raise
        self._server = server

    def wait(self) -> None:
        """Return when the server was stopped, by another thread.

        Raises
        ------
        TritonFailedError
            If it ended by itself.
        """
        self.server.wait()

    def stop(self) -> None:
        """Stop it; nothing if not started."""
        if self._server is not None:
            server, self._server = self._server, None
            server.stop()
        self._remove_repository()

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

    def _write_repository(self) -> Path:
        with needs_extra("pipeline"):
            from exatrkx_pipeline.repository import (  # noqa: PLC0415
                plan_repository,
                write_repository,
            )
        settings = self.settings
        plans = plan_repository(
            settings.models,
            weights=settings.weights,
            instances=settings.instances,
            device="gpu" if settings.gpu else "cpu",
        )
        self._written = tempfile.TemporaryDirectory(prefix="sonic-repository-")
        folder = Path(self._written.name) / "models"
        write_repository(folder, plans, settings.weights)
        return folder

    def _remove_repository(self) -> None:
        if self._written is not None:
            self._written.cleanup()
            self._written = None


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
        extra=("--model-control-mode=explicit",) if is_explicit and not named else (),
    )
