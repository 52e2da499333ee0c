"""The server of a job and its client: from options, a file and the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exatrkx_pipeline.model_names import WHOLE_MODELS
from sonic_base import (
    ConfigError,
    Secret,
    config_from_mapping,
    nearest_names,
    new_token,
)
from sonic_client import ClientConfig, Layout, ServerConfig, client_table
from sonic_tracking.errors import needs_extra
from sonic_tracking.outputs import Json
from sonic_tracking.progress import activity

if TYPE_CHECKING:
    from exatrkx_pipeline import StageClock

__all__ = ["ClientSettings", "ServerInUse", "job_server", "tracking_server"]

DEFAULT_MODELS: dict[Layout, str] = {"per_event": "exatrkx", "concat": "exatrkx_batch"}
OWN_SERVER_DEADLINE_S = 7 * 86_400.0
"""A server in this process lives as long as the job: no reason to give up earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Settings of the client; None where an option was not given.

    An option goes before an entry of the file. The environment names a server if
    neither does.
    """

    file: Path | None = None
    """Its table ``[client]`` is a `ClientConfig`; or its tables are CMSSW's."""

    servers: tuple[str, ...] = ()
    model: str | None = None
    layout: Layout | None = None
    window: int | None = None
    deadline_s: float | None = None
    try_timeout_s: float | None = None
    hedge: bool | None = None
    fallback: str | None = None
    weights: Path | None = None
    """Weights of the fallback."""

    any_input: bool = False
    """Whether the fallback answers events that are far from the weights' training."""

    token_file: Path | None = None
    token_env: str | None = None
    plaintext_token: bool | None = None
    roots: Path | None = None

    def table(self) -> Json:
        """Return options over file over environment, as one table."""
        given: Json = {
            "servers": [self._server(url) for url in self.servers],
            "model_name": self.model,
            "layout": self.layout,
            "window": {"max_requests": self.window},
            "deadline_s": self.deadline_s,
            "retry": {"try_timeout_s": self.try_timeout_s},
            "hedge": {"enabled": self.hedge},
            "fallback": {
                "name": self.fallback,
                "options": {
                    "weights": self.weights and str(self.weights),
                    "any_input": "true" if self.any_input else None,
                },
            },
        }
        table = _merged({} if self.file is None else client_table(self.file), given)
        balancer = None if "servers" in table else _local_balancer()
        return table if balancer is None else table | {"servers": balancer}

    def config(self, own_server: str | None = None) -> ClientConfig:
        """Return the client's configuration; `own_server` is one in this process.

        Raises
        ------
        ConfigError
            If an option or an entry of the file is wrong.
        """
        table = self.table()
        if own_server is not None:
            table = (
                {"deadline_s": OWN_SERVER_DEADLINE_S} | table | {"servers": own_server}
            )
        layout = table.get("layout", "per_event")
        default_model = DEFAULT_MODELS.get(layout, DEFAULT_MODELS["per_event"])
        table = {"model_name": default_model} | table
        where = "client" if self.file is None else f"{self.file}: [client]"
        return config_from_mapping(ClientConfig, table, where=where)

    def _server(self, url: str) -> Json:
        access = {
            "url": url,
            "token_file": self.token_file and str(self.token_file),
            "token_env": self.token_env,
            "plaintext_token": self.plaintext_token,
            "tls": {"roots": self.roots and str(self.roots)},
        }
        return _merged({}, access)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInUse:
    """A server that takes requests.

    Attributes
    ----------
    url : str
    clock : StageClock or None
        Time per stage of the pipeline, if it runs in this process.
    token : Secret or None
        What each call to a server in this process must carry: other users of this
        machine reach its port, too.
    """

    url: str
    clock: StageClock | None = None
    token: Secret | None = None

    @property
    def is_own(self) -> bool:
        """True if it runs in this process."""
        return self.clock is not None


@contextmanager
def job_server(
    settings: ClientSettings,
    weights: Path | None,
    *,
    progress: bool,
    any_input: bool = False,
) -> Iterator[tuple[ServerInUse, ClientConfig]]:
    """Give the server of a job, and the client's configuration for it.

    Raises
    ------
    ConfigError
        If a setting is wrong, or weights are given for a server that has its own.
    MissingExtraError, WeightsError
        As `tracking_server`.
    """
    if "servers" not in settings.table():
        with tracking_server(
            None, weights, progress=progress, any_input=any_input
        ) as own:
            config = settings.config(own_server=own.url)
            require_own_model(config.model_name)
            access = ServerConfig(url=own.url, token=own.token)
            yield own, replace(config, servers=access)
        return
    if settings.fallback is None and weights is not None:
        raise ConfigError(
            "weights are for the server in this process and for the fallback mock: "
            "the weights of a named server are its own"
        )
    if settings.fallback is None:
        any_input = False  # of the job alone: the server decides for itself
    config = replace(settings, weights=weights, any_input=any_input).config()
    yield ServerInUse(url=", ".join(each.url for each in config.servers)), config


def require_own_model(model: str) -> None:
    """Refuse a model that the server in this process does not have.

    Raises
    ------
    ConfigError
        With the nearest names.
    """
    if model not in WHOLE_MODELS:
        raise ConfigError(
            f"unknown model {model!r} of the server in this process, "
            f"{nearest_names(model, WHOLE_MODELS)}"
        )


@contextmanager
def tracking_server(
    server: str | None,
    weights: Path | None = None,
    *,
    progress: bool = False,
    any_input: bool = False,
) -> Iterator[ServerInUse]:
    """Give the server at an address, or else start one in this process.

    Parameters
    ----------
    server : str, optional
    weights : Path, optional
        Weights for the server in this process; by default the bundled ones.
    progress : bool
        Whether to show on a terminal that the networks are being prepared.
    any_input : bool
        Whether a server in this process answers events that are far from those of the
        weights' training.

    Raises
    ------
    MissingExtraError
        If torch is not installed, and no server is named.
    WeightsError
        If the weights cannot be used.
    """
    if server is not None:
        yield ServerInUse(url=server)
        return
    with needs_extra("pipeline"):
        from exatrkx_pipeline import StageClock, bundled_weights  # noqa: PLC0415
        from mock_server import MockServer  # noqa: PLC0415
        from mock_server.tracking import tracking_models  # noqa: PLC0415

        clock = StageClock()
        what = "prepare the networks (the first time, compile them: a minute)"
        with activity(what, is_shown=progress):
            # One event of a few thousand points cannot keep two cores busy.
            models = tracking_models(
                weights or bundled_weights(),
                clock,
                instances=os.cpu_count() or 1,
                any_input=any_input,
            )
    token = new_token()
    with MockServer(models, token=token) as own:
        yield ServerInUse(url=own.url, clock=clock, token=token)


def _local_balancer() -> str | None:
    """Return the server that a site names in the environment, as SuperSONIC does."""
    host, port = (
        os.environ.get(f"SONIC_LOCAL_BALANCER_{name}") for name in ("HOST", "PORT")
    )
    if not host and not port:
        return None
    if not host or not port:
        raise ConfigError(
            "SONIC_LOCAL_BALANCER_HOST and SONIC_LOCAL_BALANCER_PORT go together, got "
            f"{host!r} and {port!r}"
        )
    return f"{host}:{port}"


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    """Return `above`, and `below` where `above` has no value, table by table."""
    merged = dict(below)
    for key, value in above.items():
        given = value
        if isinstance(value, Mapping):
            known = merged.get(key, {})
            given = _merged(known if isinstance(known, Mapping) else {}, value)
        if given not in (None, {}, []):
            merged[key] = given
    return merged
