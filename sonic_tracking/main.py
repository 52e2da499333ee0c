"""The command and its subcommands; importing it loads no torch and no uproot."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated

import typer

from sonic_tracking.commands import (
    bench,
    demo,
    describe,
    evaluate,
    models,
    record,
    repository,
    serve,
    servers,
    simulate,
    track,
    train,
)

__all__ = ["app"]

# gRPC's C++ core reports lost connections on stderr, beside the one line that we print.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

app = typer.Typer(
    name="sonic",
    help="Particle tracks out of space points, by a graph network on a server.",
    epilog=(
        "Start with [bold]sonic demo[/bold]; it needs no server and no file.\n\n"
        "SONIC_DEBUG=1 in the environment shows where an error comes from."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback means a defect of ours: it is shown as Python shows it.
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sonic {version('sonic-tracking')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Take the options that belong to no subcommand."""
    # Torch, loaded later, has idle threads that spin, on the cores that the pipeline's
    # own compute on: events one by one on two threads, or side by side, then take a
    # fifth to a third longer. A training is all torch's, and slower if they sleep.
    if context.invoked_subcommand != "train":
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


for command in (
    track,
    evaluate,
    simulate,
    train,
    serve,
    record,
    servers,
    describe,
    repository,
    models,
    bench,
    demo,
):
    command.register(app)
