"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from sonic_base import ConfigError

if TYPE_CHECKING:
    from producers import FeatureScale

__all__ = [
    "ClientConfigFile",
    "Columns",
    "CsvScale",
    "Fallback",
    "Force",
    "Hedge",
    "PlaintextToken",
    "Roots",
    "Servers",
    "TokenEnv",
    "TokenFile",
    "TryTimeout",
    "Unit",
    "parse_scale",
]

PANEL = "Servers"

TokenFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=PANEL, help="File that holds the server's bearer token."
    ),
]
TokenEnv: TypeAlias = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=PANEL, help="Environment variable that holds the token."
    ),
]
PlaintextToken: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--plaintext-token",
        rich_help_panel=PANEL,
        help="Send the token unencrypted to another machine, too.",
    ),
]
Roots: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=PANEL,
        help="PEM file of the authorities to trust; else the system's.",
    ),
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Replace outputs that exist.")
]
Columns: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        help="Its table \\[columns] names the tree and branches of the space points, "
        "\\[truth] those of the truth; see docs/formats.md.",
    ),
]
Unit: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="UNIT",
        help="Unit of lengths in the files: mm (the default), cm, m or um.",
    ),
]
CsvScale: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="R,PHI,Z",
        help="Divisors of the features in csv files, in mm, rad, mm.",
    ),
]

Servers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        metavar="URL",
        rich_help_panel=PANEL,
        help="grpc://, grpcs://, http:// or https://host:port; may be repeated. By "
        "default one in this process, unless the environment names one: see "
        "docs/cmssw.md.",
    ),
]
Fallback: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=PANEL,
        help="The server to start if no other answers: mock (the pipeline in this "
        "process) or triton (on this machine).",
    ),
]
TryTimeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="SECONDS",
        rich_help_panel=PANEL,
        help="For one try of a request, before another server is asked.",
    ),
]
Hedge: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--hedge/--no-hedge",
        rich_help_panel=PANEL,
        help="Send a request that takes unusually long to a second server as well; the "
        "first answer counts.",
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


def parse_scale(text: str | None) -> FeatureScale | None:
    """Return the divisors of csv features, from ``r,phi,z`` in mm, rad, mm.

    Raises
    ------
    ConfigError
        If the text is not three positive numbers.
    """
    if text is None:
        return None
    try:
        r_mm, phi_rad, z_mm = map(float, text.split(","))
    except ValueError as error:
        raise ConfigError(
            "--csv-scale: expected three numbers R,PHI,Z in mm, rad, mm, such as "
            f"1000,3.14159265,1000, got {text!r}"
        ) from error
    from producers import FeatureScale  # noqa: PLC0415 - `sonic --help` starts fast

    return FeatureScale(r_mm, phi_rad, z_mm)
