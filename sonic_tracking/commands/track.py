"""`sonic track`: tracks out of files of space points."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sonic_tracking.command_line import this_command
from sonic_tracking.commands.options import (
    ClientConfigFile,
    Fallback,
    Roots,
    Servers,
    TokenEnv,
    TokenFile,
    TryTimeout,
)
from sonic_tracking.commands.printing import print_rows
from sonic_tracking.errors import one_line_errors

__all__ = ["register", "track"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic track events.root -o tracks.root[/cyan]

[cyan]sonic track events.root -o tracks.root --server grpc://host:8001[/cyan]

[cyan]sonic track events.root -o t.root --server a:8001 --server b:8001 --fallback mock\
[/cyan]

[cyan]sonic track run*.root -o tracks.root --layout concat --json summary.json[/cyan]

[cyan]sonic track in_e1000.csv -o tracks.root --csv-scale 3000,3.14159265,400[/cyan]

[cyan]sonic track @files.txt -o tracks.parquet --on-failure fill[/cyan]

[cyan]sonic track event*-hits.csv.gz -o submission.csv[/cyan]

[cyan]sonic track run*.root -o tracks.root --resume[/cyan]

[cyan]sonic track run*.root -o tracks.root --server grpc://host:8001 --workers 4[/cyan]

[cyan]sonic track run*.root -o tracks.root --server host:8001 --dask tcp://host:8786\
[/cyan]
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(track)


def track(
    *,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files, patterns, URLs, or @list.txt of them: ROOT (TTree, RNTuple, "
            "ACTS, GNN4ITk, EDM4hep), csv (TrackML, ACTS, features), parquet, numpy."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File for the tracks.")
    ],
    input_format: Annotated[
        str | None,
        typer.Option("--format", help="Of the files, if not as their content shows."),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            help="ttree, rntuple, parquet, trackml or edm4hep; else by the suffix."
        ),
    ] = None,
    server: Servers = None,
    fallback: Fallback = None,
    try_timeout: TryTimeout = None,
    client_config: ClientConfigFile = None,
    token_file: TokenFile = None,
    token_env: TokenEnv = None,
    roots: Roots = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of the served model; exatrkx, or exatrkx_batch for concat."
        ),
    ] = None,
    layout: Annotated[
        Literal["per_event", "concat"] | None,
        typer.Option(
            help="One request an event (the default), or several events in one request."
        ),
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="Requests in flight at once; else 16.")
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            help="Seconds for a request, all its tries included; else 300 at a named "
            "server, a week in this process."
        ),
    ] = None,
    max_events: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many events.")
    ] = None,
    min_space_points: Annotated[
        int, typer.Option(min=1, help="A smaller component is no candidate.")
    ] = 3,
    columns: Annotated[
        Path | None,
        typer.Option(help="TOML file whose table \\[columns] names tree and branches."),
    ] = None,
    csv_scale: Annotated[
        str | None,
        typer.Option(
            metavar="R,PHI,Z",
            help="What csv features were divided by, in mm, rad, mm.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights for the server in this process, or the fallback."),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="File for the job summary, rates, times and peak memory."),
    ] = None,
    on_failure: Annotated[
        Literal["raise", "skip", "fill"],
        typer.Option(
            help="Of an event without answer: end, leave it empty, or fill with -1."
        ),
    ] = "raise",
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Scheduler of a dask cluster that does the job, such as "
            "tcp://host:8786; its workers see the same files (extra dask).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes of this machine that share the job (extra dask)."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from what an interrupted job left."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace outputs that exist.")
    ] = False,
) -> None:
    """Find the tracks of every event, on a server or in this process.

    Writes one entry per event, in the order of the input: a label per space
    point (-1: on no candidate), the candidates, the failures, and where they
    come from. A job that is interrupted leaves what it finished in
    <output>.partial, from where --resume goes on.
    """
    with one_line_errors():
        # Loaded here, for `sonic --help` is to be quick.
        from producers import ColumnMapping  # noqa: PLC0415
        from sonic_tracking.distributed.config import cluster_of  # noqa: PLC0415
        from sonic_tracking.jobs.connection import ClientSettings  # noqa: PLC0415
        from sonic_tracking.jobs.track import TrackingJob, parse_scale, run_tracking  # noqa: PLC0415

        job = TrackingJob(
            files=tuple(files),
            output=output,
            input_format=input_format,
            output_format=output_format,
            on_failure=on_failure,
            resume=resume,
            client=ClientSettings(
                file=client_config,
                servers=tuple(server or ()),
                fallback=fallback,
                try_timeout_s=try_timeout,
                token_file=token_file,
                token_env=token_env,
                roots=roots,
                model=model,
                layout=layout,
                window=window,
                deadline_s=deadline,
            ),
            max_events=max_events,
            min_space_points=min_space_points,
            columns=None if columns is None else ColumnMapping.from_toml(columns),
            csv_scale=parse_scale(csv_scale),
            weights=weights,
            json=json,
            force=force,
            cluster=cluster_of(dask, workers),
            command=this_command(),
        )
        print_rows("tracked", run_tracking(job).rows())
