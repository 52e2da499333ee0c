"""What a command was told about the client: options, a file, the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sonic_base.errors import ConfigError
from sonic_base.toml import config_from_mapping
from sonic_client import ClientConfig, Layout, client_table
from sonic_tracking.errors import needs_extra
from sonic_tracking.progress import activity

if TYPE_CHECKING:
    from exatrkx_pipeline import StageClock

__all__ = ["ClientSettings", "ServerInUse", "local_balancer", "tracking_server"]

DEFAULT_MODELS: dict[Layout, str] = {"per_event": "exatrkx", "concat": "exatrkx_batch"}
OWN_SERVER_DEADLINE_S = 7 * 86_400.0
"""A server in this process is as alive as the job: there is nothing to give up for."""


def local_balancer() -> str | None:
    """The server that a site names in the environment, as SuperSONIC's sites do.

    Raises
    ------
    ConfigError
        If only one of ``SONIC_LOCAL_BALANCER_HOST`` and ``..._PORT`` is set.
    """
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What a command was told about the client; None is "not told".

    An option goes before the file's entry. The environment names a server if
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
    fallback: str | None = None
    weights: Path | None = None
    """Of the fallback."""

    token_file: Path | None = None
    token_env: str | None = None
    roots: Path | None = None

    # Any, here and below: values of a TOML file are of any type.
    def table(self) -> dict[str, Any]:
        """Options over file over environment, as one table."""
        told: dict[str, Any] = {
            "servers": [self._server(url) for url in self.servers],
            "model_name": self.model,
            "layout": self.layout,
            "window": {"max_requests": self.window},
            "deadline_s": self.deadline_s,
            "retry": {"try_timeout_s": self.try_timeout_s},
            "fallback": {
                "name": self.fallback,
                "options": {"weights": self.weights and str(self.weights)},
            },
        }
        table = _merged({} if self.file is None else client_table(self.file), told)
        balancer = None if "servers" in table else local_balancer()
        return table if balancer is None else table | {"servers": balancer}

    def config(self, own_server: str | None = None) -> ClientConfig:
        """Configure the client, of a server in this process if none was named.

        Raises
        ------
        ConfigError
            If an option or an entry of the file is wrong.
        """
        table = self.table()
        if own_server is not None:
            table = {"deadline_s": OWN_SERVER_DEADLINE_S} | table
            table["servers"] = own_server
        layout = table.get("layout", "per_event")
        default_model = DEFAULT_MODELS.get(layout, DEFAULT_MODELS["per_event"])
        table = {"model_name": default_model} | table
        where = "client" if self.file is None else f"{self.file}: [client]"
        return config_from_mapping(ClientConfig, table, where=where)

    def _server(self, url: str) -> dict[str, Any]:
        access = {
            "url": url,
            "token_file": self.token_file and str(self.token_file),
            "token_env": self.token_env,
            "tls": {"roots": self.roots and str(self.roots)},
        }
        return _merged({}, access)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """What was told above, and below where nothing was, table by table."""
    merged = dict(below)
    for key, value in above.items():
        told = value
        if isinstance(value, Mapping):
            known = merged.get(key, {})
            told = _merged(known if isinstance(known, Mapping) else {}, value)
        if told not in (None, {}, []):
            merged[key] = told
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInUse:
    """A server that takes requests.

    Attributes
    ----------
    url : str
    clock : StageClock or None
        Time per stage of the pipeline, if it runs in this process.
    """

    url: str
    clock: StageClock | None = None

    @property
    def is_own(self) -> bool:
        """Whether it runs in this process."""
        return self.clock is not None


@contextmanager
def tracking_server(
    server: str | None, weights: Path | None = None
) -> Iterator[ServerInUse]:
    """The server at an address, or without one an in-process server on loopback.

    Parameters
    ----------
    server : str, optional
    weights : Path, optional
        Directory for the in-process server; the bundled weights unless given.

    Raises
    ------
    ConfigError
        If both are given: the weights of a server are its own.
    MissingExtraError
        If torch is not installed, and no server is named.
    WeightsError
        If the weights cannot be used.
    """
    if server is not None:
        if weights is not None:
            raise ConfigError(
                f"--weights is for the in-process server, which {server} is not"
            )
        yield ServerInUse(url=server)
        return
    with needs_extra("pipeline"):
        from exatrkx_pipeline import StageClock, bundled_weights  # noqa: PLC0415
        from mock_server import MockServer  # noqa: PLC0415
        from mock_server.tracking import tracking_models  # noqa: PLC0415

        clock = StageClock()
        with activity("prepare the networks (the first time, compile them: a minute)"):
            # An event of a few thousand points is too small to keep two cores busy.
            models = tracking_models(
                weights or bundled_weights(), clock, instances=os.cpu_count() or 1
            )
    with MockServer(models) as own:
        yield ServerInUse(url=own.url, clock=clock)
