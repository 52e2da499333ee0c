"""The tracking models on a real Triton, their repository written when it starts."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from sonic_base.errors import ConfigError
from sonic_tracking.engines.repository_folder import written_repository
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.engines.triton import TritonServer
from sonic_tracking.engines.triton_command import TritonOptions

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
        self._server: TritonServer | None = None
        self._opened = ExitStack()
        """The server, and the folder of its repository if that was written for it."""

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
        with ExitStack() as opened:
            repository = settings.repository or opened.enter_context(
                written_repository(
                    settings.models,
                    settings.weights,
                    instances=settings.instances,
                    gpu=settings.gpu,
                )
            )
            server = TritonServer(
                repository,
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
            opened.enter_context(server)
            self._server, self._opened = server, opened.pop_all()

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
        self._server = None
        self._opened.close()

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
