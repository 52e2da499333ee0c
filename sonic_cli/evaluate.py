"""`sonic evaluate`: tracks against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sonic_cli.errors import needs_extra, one_line_errors
from sonic_cli.tables import print_line, print_rows

__all__ = ["evaluate", "register"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic evaluate tracks.root --truth truth.root[/cyan]

[cyan]sonic evaluate tracks.root --truth truth.root --plot eval.png[/cyan]
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(evaluate)


def evaluate(
    *,
    tracks: Annotated[Path, typer.Argument(help="ROOT file that sonic track wrote.")],
    truth: Annotated[
        list[Path],
        typer.Option(
            help="ROOT file of the truth; one for each input, in their order."
        ),
    ],
    events: Annotated[
        list[Path] | None,
        typer.Option(help="The tracks' input, if it is no longer where it was."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights that found the tracks; the bundled ones if none."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="File for all numbers, also in bins.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG file for a page of plots.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace outputs that exist.")
    ] = False,
) -> None:
    """Compare tracks with the truth: efficiency, fake and duplicate rate.

    Runs the pipeline again, where it has the events and the weights, to say
    what each stage does to the true edges.
    """
    with one_line_errors():
        # Loaded here, for `sonic --help` is to be quick.
        with needs_extra("plot"):
            import hist.intervals  # noqa: F401, PLC0415
        from sonic_cli.jobs.evaluation import (  # noqa: PLC0415
            EvaluationJob,
            run_evaluation,
        )

        job = EvaluationJob(
            tracks=tracks,
            truth=tuple(truth),
            events=tuple(events or ()),
            weights=weights,
            json=json,
            plot=plot,
            force=force,
        )
        result = run_evaluation(job)
        print_rows("evaluated", result.report.rows())
        if result.edges_not_counted is not None:
            print_line(f"edges per stage not counted: {result.edges_not_counted}")
