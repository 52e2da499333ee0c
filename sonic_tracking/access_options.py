"""How a command is let in by a server: the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sonic_client.config import ServerConfig, TlsConfig

__all__ = ["Roots", "TokenEnv", "TokenFile", "server_config"]

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
