"""`sonic describe`: what a model takes and gives, and how to call it."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from typing import Annotated

import typer

from sonic_tracking.commands.options import Roots, TokenEnv, TokenFile, server_config
from sonic_tracking.commands.printing import print_line, print_rows
from sonic_tracking.errors import one_line_errors

__all__ = ["describe", "register"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic describe exatrkx[/cyan]

[cyan]sonic describe exatrkx --server grpc://a.example.org:8001[/cyan]

[cyan]sonic describe exatrkx --server http://localhost:8000 --call > call.py[/cyan]
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(describe)


def describe(
    *,
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    server: Annotated[
        str | None,
        typer.Option(help="Its server; without one, the server in this process."),
    ] = None,
    version: Annotated[
        str, typer.Option(help="Version of the model; else the latest.")
    ] = "",
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds that the server is given.")
    ] = 10.0,
    token_file: TokenFile = None,
    token_env: TokenEnv = None,
    roots: Roots = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
    call: Annotated[
        bool, typer.Option("--call", help="Print the example of a call only.")
    ] = False,
) -> None:
    """Show a model's tensors, layout and parameters, and a call of it in Python."""
    with one_line_errors():
        from sonic_tracking.jobs.connection import tracking_server  # noqa: PLC0415
        from sonic_tracking.jobs.describe import describe_model  # noqa: PLC0415

        with tracking_server(server) as used:
            config = server_config(
                used.url, token_file=token_file, token_env=token_env, roots=roots
            )
            description = describe_model(
                config,
                model,
                version=version,
                timeout_s=timeout,
                # The server in this process is gone when the example is run.
                example_url="grpc://localhost:8001" if used.is_own else used.url,
            )
        if json:
            print_line(jsonlib.dumps(asdict(description), indent=2))
        elif call:
            print_line(description.example)
        else:
            print_rows(f"{model} at {used.url}", description.rows())
            if used.is_own:
                print_line("# start its server with: sonic serve")
            print_line(description.example)
