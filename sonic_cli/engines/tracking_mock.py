"""The tracking models on the in-process server, loaded when it starts."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sonic_cli.engines.settings import EngineSettings
from sonic_cli.errors import needs_extra
from sonic_client.errors import ConfigError

if TYPE_CHECKING:
    from mock_server import MockServer

__all__ = ["TrackingMock"]

SERVES = ("exatrkx", "exatrkx_batch")
NOT_HERE = ("python", "container", "tls", "token", "log")


class TrackingMock:
    """A `FallbackServer` of tracking models in this process.

    Torch is loaded when it is started.

    Raises
    ------
    ConfigError
        If a setting is for a real Triton alone, or a model is unknown.
    """

    def __init__(self, settings: EngineSettings) -> None:
        given = [name for name in NOT_HERE if getattr(settings, name) is not None]
        if given:
            raise ConfigError(
                f"{', '.join(given)}: only a real Triton has this, not the server in "
                "this process"
            )
        if not set(SERVES) & set(settings.models):
            raise ConfigError(
                f"the server in this process has {' and '.join(SERVES)}, "
                f"not {', '.join(settings.models)}"
            )
        self.settings = settings
        self._server: MockServer | None = None
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        """Its gRPC endpoint.

        Raises
        ------
        RuntimeError
            If it was not started.
        """
        if self._server is None:
            raise RuntimeError("the server is not running: start it first")
        return self._server.url

    def start(self) -> None:
        """Load the weights and serve the models.

        Raises
        ------
        MissingExtraError
            If the pipeline is not installed.
        WeightsError
            If the weights cannot be used.
        OSError
            If the port is taken.
        """
        with needs_extra("pipeline"):
            from exatrkx_pipeline import bundled_weights  # noqa: PLC0415
            from mock_server import MockServer  # noqa: PLC0415
            from mock_server.tracking import tracking_models  # noqa: PLC0415

            models = tracking_models(
                self.settings.weights or bundled_weights(),
                instances=self.settings.instances,
            )
        server = MockServer(models, grpc_port=self.settings.grpc_port)
        server.start()
        self._server = server

    def wait(self) -> None:
        """Return when it was stopped, by another thread."""
        self._stopped.wait()

    def stop(self) -> None:
        """Stop it; nothing if not started."""
        if self._server is not None:
            server, self._server = self._server, None
            server.stop()
        self._stopped.set()

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
