"""`sonic record`: answers of a real server, to be replayed offline."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows
from sonic_tracking.commands.options import Columns, Unit

__all__ = ["EXAMPLES", "record"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic record --server host:8001 --models a,b -o cassette/ --listen 8101[/cyan]

[cyan]sonic record --server host:8001 --models exatrkx -o c/ --requests e.root[/cyan]

[cyan]sonic serve --cassette cassette/[/cyan]
"""


def record(
    *,
    server: Annotated[str, typer.Option(help="grpc://host:port of a Triton.")],
    models: Annotated[str, typer.Option(help="Models to record, separated by commas.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="New folder for the recording (cassette)."),
    ],
    listen: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port for the client; 0 takes a free one."),
    ] = 0,
    requests: Annotated[
        list[Path] | None,
        typer.Option(help="Files of space points to find tracks in, by sonic track."),
    ] = None,
    columns: Columns = None,
    unit: Unit = None,
    decimals: Annotated[
        int | None,
        typer.Option(
            min=0, help="Round floats of requests and answers to this many decimals."
        ),
    ] = None,
    max_mb: Annotated[
        float | None,
        typer.Option(min=0.0, help="Stop recording beyond this size of the cassette."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the server's token; clients must send it to this command, "
            "too."
        ),
    ] = None,
) -> None:
    """Stand between a client and a server, and record the server's answers.

    Point the client at the address that is printed, and end with Ctrl-C; or name
    files by --requests, and the command sends them itself and then ends.
    `sonic serve --cassette` answers the same requests later, without the server.
    """
    with one_line_errors():
        recording = sonic_tracking.record(
            server,
            models.split(","),
            output,
            listen=listen,
            decimals=decimals,
            max_bytes=None if max_mb is None else int(max_mb * 1_000_000),
            token_file=token_file,
        )
        with recording:
            if requests:
                recording.send(requests, columns=columns, unit=unit)
            else:
                rows = [("clients connect to", recording.url), ("server", server)]
                print_rows("recording", rows)
                with suppress(KeyboardInterrupt):  # the intended end of a recording
                    recording.wait()
        print_rows("recorded", recording.rows())
