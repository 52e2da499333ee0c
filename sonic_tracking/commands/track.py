"""`sonic track`: tracks out of files of space points."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows, this_command
from sonic_tracking.commands.options import (
    ClientConfigFile,
    Columns,
    CsvScale,
    Fallback,
    Force,
    Hedge,
    PlaintextToken,
    Roots,
    Servers,
    TokenEnv,
    TokenFile,
    TryTimeout,
    Unit,
    parse_scale,
)

__all__ = ["EXAMPLES", "track"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic track events.root -o tracks.root[/cyan]

[cyan]sonic track events.root -o tracks.root --server grpc://host:8001[/cyan]

[cyan]sonic track events.root -o t.root --server a:8001 --server b:8001 --fallback mock\
[/cyan]

[cyan]sonic track run*.root -o tracks.root --layout concat --json summary.json[/cyan]

[cyan]sonic track in_e1000.csv -o tracks.root --csv-scale 3000,3.14159265,400[/cyan]

[cyan]sonic track hits.root -o tracks.root --columns columns.toml --unit cm[/cyan]

[cyan]sonic track @files.txt -o tracks.parquet --on-failure fill[/cyan]

[cyan]sonic track event*-hits.csv.gz -o submission.csv[/cyan]

[cyan]sonic track run*.root -o tracks.root --resume[/cyan]

[cyan]sonic track run*.root -o tracks.root --server grpc://host:8001 --workers 4[/cyan]

[cyan]sonic track run*.root -o tracks.root --server host:8001 --dask tcp://host:8786\
[/cyan]
"""


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
        typer.Option(
            "--format", help="Format of the files; by default it is detected."
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            help="ttree, rntuple, parquet, trackml or edm4hep; by default the suffix "
            "decides."
        ),
    ] = None,
    server: Servers = None,
    fallback: Fallback = None,
    try_timeout: TryTimeout = None,
    hedge: Hedge = None,
    client_config: ClientConfigFile = None,
    token_file: TokenFile = None,
    token_env: TokenEnv = None,
    plaintext_token: PlaintextToken = False,
    roots: Roots = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of the served model; by default exatrkx, or exatrkx_batch for "
            "concat."
        ),
    ] = None,
    layout: Annotated[
        Literal["per_event", "concat"] | None,
        typer.Option(
            help="One request an event (the default), or several events in one request."
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Requests in flight at once; by default 16."),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            help="Seconds for a request with all its tries; by default 300 for a named "
            "server, a week in this process."
        ),
    ] = None,
    max_events: Annotated[
        int | None, typer.Option(min=1, help="Stop after this number of events.")
    ] = None,
    min_space_points: Annotated[
        int, typer.Option(min=1, help="Fewer connected points are no candidate.")
    ] = 3,
    columns: Columns = None,
    unit: Unit = None,
    csv_scale: CsvScale = None,
    any_input: Annotated[
        bool,
        typer.Option(
            "--any-input",
            help="Find tracks in events, too, that are far from all that the weights "
            "were trained on.",
        ),
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights for the server in this process, or for the fallback: a "
            "folder, or generic (the default), generic_pu0, generic_pileup."
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="File for the job summary, rates, times and peak memory."),
    ] = None,
    on_failure: Annotated[
        Literal["raise", "skip", "fill"],
        typer.Option(
            help="For an event without an answer: end the job, leave it empty, or "
            "fill it with -1."
        ),
    ] = "raise",
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Scheduler of a dask cluster that does the job, such as "
            "tcp://host:8786; its workers must see the same files (extra dask).",
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
        typer.Option("--resume", help="Go on from an interrupted job."),
    ] = False,
    force: Force = False,
) -> None:
    """Find the tracks of every event, on a server or in this process.

    Writes one entry per event, in the order of the input: a label per space
    point (-1: on no candidate), the candidates, the failures, and where they
    come from. An interrupted job leaves its finished events in <output>.partial,
    and --resume goes on from there.
    """
    with one_line_errors():
        result = sonic_tracking.track(
            files,
            output=output,
            format=input_format,
            output_format=output_format,
            server=server,
            fallback=fallback,
            try_timeout_s=try_timeout,
            hedge=hedge,
            client_config=client_config,
            token_file=token_file,
            token_env=token_env,
            plaintext_token=plaintext_token,
            roots=roots,
            model=model,
            layout=layout,
            window=window,
            deadline_s=deadline,
            max_events=max_events,
            min_space_points=min_space_points,
            columns=columns,
            unit=unit,
            csv_scale=parse_scale(csv_scale),
            any_input=any_input,
            weights=weights,
            json=json,
            on_failure=on_failure,
            dask=dask,
            workers=workers,
            resume=resume,
            force=force,
            progress=True,
            command=this_command(),
            on_interrupt=lambda summary: print_rows("done until now", summary.rows()),
        )
        print_rows("tracked", result.report.rows())
