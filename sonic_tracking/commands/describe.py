"""`sonic describe`: what a model takes and gives, and how to call it."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_line, print_rows
from sonic_tracking.commands.options import PlaintextToken, Roots, TokenEnv, TokenFile

__all__ = ["EXAMPLES", "describe"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic describe exatrkx[/cyan]

[cyan]sonic describe exatrkx --server grpc://a.example.org:8001[/cyan]

[cyan]sonic describe exatrkx --server http://localhost:8000 --call > call.py[/cyan]
"""


def describe(
    *,
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    server: Annotated[
        str | None,
        typer.Option(help="Its server; by default one in this process."),
    ] = None,
    version: Annotated[
        str, typer.Option(help="Version of the model; by default the latest.")
    ] = "",
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds for the server's answer.")
    ] = 10.0,
    token_file: TokenFile = None,
    token_env: TokenEnv = None,
    plaintext_token: PlaintextToken = False,
    roots: Roots = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
    call: Annotated[
        bool, typer.Option("--call", help="Print only the example of a call.")
    ] = False,
) -> None:
    """Show a model's tensors, layout and parameters, and a call of it in Python."""
    with one_line_errors():
        description = sonic_tracking.describe(
            model,
            server=server,
            version=version,
            timeout_s=timeout,
            token_file=token_file,
            token_env=token_env,
            plaintext_token=plaintext_token,
            roots=roots,
        )
        if json:
            facts = asdict(description)
            printed = {name: facts[name] for name in ("metadata", "layout", "example")}
            print_line(jsonlib.dumps(printed, indent=2))
        elif call:
            print_line(description.example)
        else:
            print_rows(f"{model} at {description.url}", description.rows())
            if description.is_own:
                print_line("# start its server with: sonic serve")
            print_line(description.example)
