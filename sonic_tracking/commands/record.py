"""`sonic record`: answers of a real server, to be replayed offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sonic_tracking.errors import one_line_errors

__all__ = ["record", "register"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic record --server host:8001 --models a,b -o cassette/ --listen 8101[/cyan]

[cyan]sonic record --server host:8001 --models exatrkx -o c/ --requests e.root[/cyan]

[cyan]sonic serve --cassette cassette/[/cyan]
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(record)


def record(
    *,
    server: Annotated[str, typer.Option(help="grpc://host:port of a Triton.")],
    models: Annotated[str, typer.Option(help="Models to record, separated by commas.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the cassette; new.")
    ],
    listen: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port for the client; 0 takes a free one."),
    ] = 0,
    requests: Annotated[
        list[Path] | None,
        typer.Option(help="Files of space points to find tracks in, by sonic track."),
    ] = None,
    decimals: Annotated[
        int | None,
        typer.Option(
            min=0, help="Round floats to so many decimals, of requests and answers."
        ),
    ] = None,
    max_mb: Annotated[
        float | None,
        typer.Option(min=0.0, help="Record no more beyond this size of the cassette."),
    ] = None,
) -> None:
    """Stand between a client and a server, and keep what the server answers.

    Point the client at the address that is printed, and end with Ctrl-C; or name
    files by --requests, and the command is the client itself and ends by itself.
    `sonic serve --cassette` answers the same requests later, without the server.
    """
    with one_line_errors():
        # Loaded here, for `sonic --help` is to be quick.
        from sonic_tracking.jobs.record import RecordingJob, run_recording  # noqa: PLC0415

        run_recording(
            RecordingJob(
                server=server,
                models=tuple(models.split(",")),
                output=output,
                listen=listen,
                requests=tuple(requests or ()),
                decimals=decimals,
                max_bytes=None if max_mb is None else int(max_mb * 1_000_000),
            )
        )
