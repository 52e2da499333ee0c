"""`sonic servers`: which servers answer, how soon, and what they serve."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import (
    FAILED,
    one_line_errors,
    print_line,
    print_table,
)
from sonic_tracking.commands.options import PlaintextToken, Roots, TokenEnv, TokenFile

__all__ = ["EXAMPLES", "servers"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic servers[/cyan]

[cyan]sonic servers grpc://a.example.org:8001 https://b.example.org --json[/cyan]

[cyan]sonic servers grpcs://a.example.org --token-file ~/.token --timeout 2[/cyan]
"""


def servers(
    *,
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...", help="grpc://, grpcs://, http:// or https://host:port."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds for the answer of each server.")
    ] = 5.0,
    token_file: TokenFile = None,
    token_env: TokenEnv = None,
    plaintext_token: PlaintextToken = False,
    roots: Roots = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
) -> None:
    """Ask servers whether they are ready, how soon they answer, and for their models.

    Without a URL, the one on this machine: grpc://localhost:8001. The status is 0 if
    all of them are ready. A server that refuses new work is "saturated".
    """
    with one_line_errors():
        reports = sonic_tracking.servers(
            urls or ["grpc://localhost:8001"],
            timeout_s=timeout,
            token_file=token_file,
            token_env=token_env,
            plaintext_token=plaintext_token,
            roots=roots,
        )
        if json:
            print_line(jsonlib.dumps([asdict(report) for report in reports], indent=2))
        else:
            print_table(
                "servers",
                ("server", "state", "latency", "models", "why"),
                [report.row() for report in reports],
            )
        if not all(report.is_ready for report in reports):
            raise typer.Exit(FAILED)
