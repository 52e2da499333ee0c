"""The command and its subcommands; importing it loads no torch and no uproot."""

from __future__ import annotations

import inspect
import os
import re
from importlib.metadata import version
from typing import Annotated

import typer

from sonic_tracking.commands import (
    bench,
    demo,
    describe,
    evaluate,
    record,
    repository,
    serve,
    servers,
    simulate,
    track,
    train,
    weights,
)

__all__ = ["app"]

# gRPC's C++ core reports lost connections on stderr; one line per error is enough.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

app = typer.Typer(
    name="sonic",
    help="Particle tracks from space points, by a graph network on a server.",
    epilog=(
        "Start with [bold]sonic demo[/bold]; it needs no server and no file.\n\n"
        "SONIC_DEBUG=1 in the environment shows where an error comes from."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback means a defect: show it as Python does.
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
    trust_torchscript: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHA256",
            help="Run the TorchScript file of weights with this hash; may be repeated.",
        ),
    ] = None,
) -> None:
    """Handle the options that do not belong to a subcommand."""
    if trust_torchscript:  # also for the servers and workers that the command starts
        before = filter(None, [os.environ.get("SONIC_TRUST_TORCHSCRIPT")])
        os.environ["SONIC_TRUST_TORCHSCRIPT"] = ",".join([*before, *trust_torchscript])
    # Torch's idle threads spin by default, on the cores that the pipeline's own threads
    # need: events then take a fifth to a third longer. A training uses torch alone, and
    # is slower if its threads sleep.
    if context.invoked_subcommand != "train":
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


app.command(epilog=track.EXAMPLES)(track.track)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=simulate.EXAMPLES)(simulate.simulate)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=serve.EXAMPLES)(serve.serve)
app.command(epilog=record.EXAMPLES)(record.record)
app.command(epilog=servers.EXAMPLES)(servers.servers)
app.command(epilog=describe.EXAMPLES)(describe.describe)
app.command(epilog=repository.EXAMPLES)(repository.repository)
app.add_typer(weights.app, name="weights")
app.add_typer(bench.app, name="bench")
app.command(epilog=demo.EXAMPLES)(demo.demo)

# Typer keeps the line breaks of a docstring, also where the terminal is narrower.
for _app in (app, weights.app, bench.app):
    for _command in _app.registered_commands:
        _text = inspect.cleandoc(getattr(_command.callback, "__doc__", None) or "")
        _command.help = re.sub(r"(?<!\n)\n(?!\n)", " ", _text)
