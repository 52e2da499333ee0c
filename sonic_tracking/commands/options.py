"""How a command is let in by a server: the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sonic_client.config import ServerConfig, TlsConfig

__all__ = [
    "ClientConfigFile",
    "Fallback",
    "Roots",
    "Servers",
    "TokenEnv",
    "TokenFile",
    "TryTimeout",
    "server_config",
]

TokenFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="File that holds the server's bearer token.")
]
TokenEnv: TypeAlias = Annotated[
    str | None, typer.Option(help="Environment variable that holds it.")
]
Roots: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="PEM file of the authorities to trust; else the system's."),
]


def server_config(
    url: str, *, token_file: Path | None, token_env: str | None, roots: Path | None
) -> ServerConfig:
    """Return the configuration of a server that a command names.

    Raises
    ------
    ConfigError
        If the URL is none, or the options exclude one another.
    """
    return ServerConfig(
        url=url,
        token_file=token_file,
        token_env=token_env,
        tls=TlsConfig(roots=roots),
    )


PANEL = "Servers"

Servers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        metavar="URL",
        rich_help_panel=PANEL,
        help="grpc://, grpcs://, http:// or https://host:port; may be repeated. None: "
        "that of SONIC_LOCAL_BALANCER_HOST and _PORT, or else one in this process.",
    ),
]
Fallback: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=PANEL,
        help="What answers when no server does: mock (the pipeline in this process), "
        "triton (started on this machine).",
    ),
]
TryTimeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        rich_help_panel=PANEL,
        help="Seconds for one try of a request, before another server is asked.",
    ),
]
ClientConfigFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        rich_help_panel=PANEL,
        help="Its table \\[client] configures the client; options go before it.",
    ),
]
