"""Engines by name, for `sonic serve` and as entry points of the client's fallback.

A fallback is a function of the model's name and of options (see
`EngineSettings.for_fallback`); it returns a server that is not started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Protocol, get_args

from sonic_base import ConfigError, nearest_names, new_token
from sonic_client import FallbackServer
from sonic_tracking.engines.mock import TrackingMock
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.engines.triton import TrackingTriton

__all__ = ["Engine", "EngineName", "engine_of", "mock_fallback", "triton_fallback"]

EngineName = Literal["mock", "triton"]


class Engine(FallbackServer, Protocol):
    """A server on this machine whose end can be awaited."""

    def wait(self) -> None:
        """Return when it was stopped; raise if it ended by itself."""
        ...


def engine_of(name: EngineName, settings: EngineSettings) -> Engine:
    """Return the server of this name, not started.

    Raises
    ------
    ConfigError
        If there is no such engine, or it does not support a setting.
    """
    if name not in get_args(EngineName):
        engines = nearest_names(name, get_args(EngineName))
        raise ConfigError(f"unknown engine {name!r}, {engines}")
    return TrackingMock(settings) if name == "mock" else TrackingTriton(settings)


def mock_fallback(model_name: str, options: Mapping[str, str]) -> FallbackServer:
    """Return the pipeline on the server in this process.

    Raises
    ------
    ConfigError
        If the model or an option is unknown; so does the function below.
    """
    settings = EngineSettings.for_fallback(model_name, options)
    # Other users of this machine reach its port, too.
    return engine_of("mock", replace(settings, token=new_token()))


def triton_fallback(model_name: str, options: Mapping[str, str]) -> FallbackServer:
    """Return the pipeline on a real Triton, which ends with this process."""
    return engine_of("triton", EngineSettings.for_fallback(model_name, options))
