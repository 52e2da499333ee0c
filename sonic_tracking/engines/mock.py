"""The server in this process: tracking models, a repository, or a cassette."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from exatrkx_pipeline.model_names import WHOLE_MODELS
from sonic_base import ConfigError, Secret
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.errors import needs_extra

if TYPE_CHECKING:
    from mock_server import FaultPlan, MockServer, Profile

__all__ = ["TrackingMock"]

TRITON_ONLY = ("python", "container", "tls", "log")


class TrackingMock:
    """A `FallbackServer` in this process.

    Torch is loaded at the start, and only for the tracking models.

    Raises
    ------
    ConfigError
        If only a real Triton supports a setting, or a model is unknown.
    """

    def __init__(self, settings: EngineSettings) -> None:
        given = [name for name in TRITON_ONLY if getattr(settings, name) is not None]
        if given:
            raise ConfigError(
                f"{', '.join(given)}: only a real Triton supports this, not the server "
                "in this process"
            )
        has_own = settings.repository is not None or settings.cassette is not None
        if not has_own and not set(WHOLE_MODELS) & set(settings.models):
            raise ConfigError(
                f"the server in this process has {' and '.join(WHOLE_MODELS)}, "
                f"not {', '.join(settings.models)}"
            )
        self.settings = settings
        self._server: MockServer | None = None
        self._stopped = threading.Event()

    @property
    def server(self) -> MockServer:
        """The server itself.

        Raises
        ------
        RuntimeError
            If it was not started; the properties below raise it as well.
        """
        if self._server is None:
            raise RuntimeError("the server is not running: start it first")
        return self._server

    @property
    def url(self) -> str:
        """Its gRPC endpoint."""
        return self.server.url

    @property
    def token(self) -> Secret | None:
        """The token that each call must carry; None if it needs none."""
        return self.settings.token

    @property
    def http_url(self) -> str | None:
        """Its HTTP endpoint, if it has one."""
        return None if self.settings.http_port is None else self.server.http_url

    @property
    def metrics_url(self) -> str | None:
        """Its metrics for Prometheus, if it has them."""
        return None if self.settings.metrics_port is None else self.server.metrics_url

    def start(self) -> None:
        """Load the models, and listen.

        Raises
        ------
        MissingExtraError
            If the pipeline is not installed.
        WeightsError
            If the weights cannot be used.
        ConfigError
            If the fault plan, the repository or the cassette cannot be used.
        OSError
            If a port is taken.
        """
        with needs_extra("mock"):
            from mock_server import MockServer  # noqa: PLC0415 - an extra
            from mock_server.cassette import CassetteError  # noqa: PLC0415

        settings = self.settings
        # Any: keyword arguments of several types.
        listening: dict[str, Any] = {
            "host": settings.host,
            "grpc_port": settings.grpc_port,
            "http_port": settings.http_port,
            "metrics_port": settings.metrics_port,
            "faults": self._fault_plan(),
            "token": settings.token,
        }
        if settings.profile is not None:
            listening["profile"] = _profile_of(settings.profile)
        if settings.cassette is not None:
            try:
                server = MockServer.replay(settings.cassette, **listening)
            except CassetteError as error:
                raise ConfigError(f"--cassette: {error}") from error
        elif settings.repository is not None:
            try:
                server = MockServer(
                    repository=settings.repository,
                    model_control=settings.model_control,
                    load_models=() if settings.is_all else settings.models,
                    **listening,
                )
            except (OSError, ValueError) as error:
                raise ConfigError(f"--models {settings.repository}: {error}") from error
        else:
            with needs_extra("pipeline"):
                from exatrkx_pipeline import bundled_weights  # noqa: PLC0415
                from mock_server.tracking import tracking_models  # noqa: PLC0415

                weights = settings.weights or bundled_weights()
                models = tracking_models(
                    weights,
                    instances=settings.instances,
                    any_input=settings.any_input,
                )
            wanted = [model for model in models if model.name in settings.models]
            server = MockServer(wanted, **listening)
        server.start()
        self._server = server

    def _fault_plan(self) -> FaultPlan | None:
        from mock_server import FaultPlan  # noqa: PLC0415 - an extra

        file = self.settings.faults
        if file is None:
            return None
        try:
            return FaultPlan.from_toml(file)
        except OSError as error:
            raise ConfigError(
                f"--faults {file}: cannot read: {error.strerror}"
            ) from error
        except ValueError as error:
            raise ConfigError(f"--faults {error}") from error

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


def _profile_of(name: str) -> Profile:
    from mock_server import profile_of  # noqa: PLC0415 - an extra

    try:
        return profile_of(name)
    except ConfigError as error:
        raise ConfigError(f"--profile: {error}") from error
