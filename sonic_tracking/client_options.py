"""How a command reaches servers: the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["ClientConfigFile", "Fallback", "Servers", "TryTimeout"]

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
