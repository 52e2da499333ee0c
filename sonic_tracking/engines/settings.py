"""Settings of a server on this machine, for either engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exatrkx_pipeline.model_names import SERVED_MODELS
from sonic_base import ConfigError, Secret
from sonic_tracking.engines.triton_command import Container, ServerTls

__all__ = ["EngineSettings"]

OPTIONS = (
    *("weights", "any_input", "repository", "instances", "threads", "python"),
    "container",
)
"""Options of a client's fallback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Models, weights, ports and limits; an engine refuses what it does not support.

    Raises
    ------
    ConfigError
        If two settings exclude one another.
    """

    models: tuple[str, ...] = SERVED_MODELS

    is_all: bool = True
    """Whether `models` are all models; False if the user named some."""

    weights: Path | None = None
    """Folder of weights; by default the bundled ones."""

    any_input: bool = False
    """Answer events, too, that are far from those of the weights' training."""

    repository: Path | None = None
    """Model repository to serve as it is; by default one is written for `models`."""

    model_control: Literal["none", "explicit"] = "none"
    """``explicit`` lets clients load and unload models."""

    faults: Path | None = None
    """TOML file of the faults to inject; only for the server in this process."""

    profile: str | None = None
    """Release whose behaviour the server has; only for the one in this process."""

    cassette: Path | None = None
    """Recorded answers to replay; only for the server in this process."""

    host: str = "127.0.0.1"

    instances: int = 1
    """Requests that each model computes at once."""

    threads: int = 1
    """Threads that each instance computes with."""

    gpu: bool = False
    grpc_port: int = 0
    http_port: int | None = 0
    metrics_port: int | None = 0
    """None if this port is not needed; a real Triton opens it nevertheless."""

    python: Path | None = None
    """Interpreter of the environment that has the Triton wheel."""

    container: Container | None = None
    start_limit_s: float = 120.0
    log: Path | None = None
    tls: ServerTls | None = None
    token: Secret | None = None

    def __post_init__(self) -> None:
        if self.repository is not None and self.weights is not None:
            raise ConfigError(
                "a repository has its own weights: give only one of the two"
            )
        if self.cassette is not None and (self.repository or self.weights):
            raise ConfigError("a cassette has its own models: give only one of the two")

    @classmethod
    def for_fallback(
        cls, model_name: str, options: Mapping[str, str]
    ) -> EngineSettings:
        """Return the settings of a client's fallback: one model, and named options.

        Raises
        ------
        ConfigError
            If an option is unknown, or has a wrong value.
        """
        unknown = sorted(options.keys() - set(OPTIONS))
        if unknown:
            raise ConfigError(
                f"fallback: unknown options {', '.join(unknown)}; "
                f"known are {', '.join(OPTIONS)}"
            )
        container = options.get("container")
        return cls(
            models=(model_name,),
            is_all=False,
            http_port=None,
            metrics_port=None,
            weights=_path(options, "weights"),
            any_input=_flag(options, "any_input"),
            repository=_path(options, "repository"),
            instances=_count(options, "instances"),
            threads=_count(options, "threads"),
            python=_path(options, "python"),
            container=None if container is None else Container.parse(container),
        )


def _path(options: Mapping[str, str], name: str) -> Path | None:
    return Path(options[name]).expanduser() if name in options else None


def _flag(options: Mapping[str, str], name: str) -> bool:
    value = options.get(name, "false")
    if value not in ("true", "false"):
        raise ConfigError(f"fallback: {name} must be true or false, got {value!r}")
    return value == "true"


def _count(options: Mapping[str, str], name: str) -> int:
    value = options.get(name, "1")
    if not (value.isdecimal() and int(value) > 0):
        raise ConfigError(f"fallback: {name} must be a positive number, got {value!r}")
    return int(value)
