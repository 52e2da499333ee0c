"""`sonic evaluate`: tracks against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_line, print_rows
from sonic_tracking.commands.options import Columns, Force, Unit
from sonic_tracking.errors import needs_extra

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic evaluate tracks.root --truth truth.root[/cyan]

[cyan]sonic evaluate tracks.root --truth truth.root --plot eval.png[/cyan]

[cyan]sonic evaluate tracks.root --truth truth.root --min-pt 0.5 --max-eta 4[/cyan]
"""


def evaluate(
    *,
    tracks: Annotated[Path, typer.Argument(help="File that sonic track wrote.")],
    truth: Annotated[
        list[Path],
        typer.Option(help="File of the truth; one for each input, in the same order."),
    ],
    events: Annotated[
        list[Path] | None,
        typer.Option(help="The input of the tracks, if it was moved."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights that found the tracks, if they are not bundled ones."
        ),
    ] = None,
    columns: Columns = None,
    unit: Unit = None,
    min_pt: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="GEV", help="Count particles of more transverse momentum."
        ),
    ] = 1.0,
    max_eta: Annotated[
        float,
        typer.Option(
            metavar="ETA", help="Count those of less absolute pseudorapidity."
        ),
    ] = 2.5,
    max_radius: Annotated[
        float,
        typer.Option(
            metavar="MM", help="Count those produced within this of the beam line."
        ),
    ] = 10.0,
    min_points: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Count those with this many space points or more."
        ),
    ] = 7,
    min_candidate_points: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Ignore candidates of fewer space points: neither found nor fake.",
        ),
    ] = 5,
    json: Annotated[
        Path | None, typer.Option(help="File for all numbers, also in bins.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Picture of a page of plots (png, pdf, svg)."),
    ] = None,
    force: Force = False,
) -> None:
    """Compare tracks with the truth: efficiency, fake and duplicate rate.

    If the events and the weights are at hand, the pipeline is run again to count
    the true edges that each stage keeps. The TrackML score takes the weights of the
    truth, or makes them as the challenge did.
    """
    with one_line_errors():
        with needs_extra("plot"):
            from producers.evaluation import Criteria  # noqa: PLC0415 - start-up

        report = sonic_tracking.evaluate(
            tracks,
            truth,
            events=events,
            weights=weights,
            columns=columns,
            truth_columns=columns,
            unit=unit,
            criteria=Criteria(
                min_pt_gev=min_pt,
                max_abs_eta=max_eta,
                max_production_radius_mm=max_radius,
                min_particle_space_points=min_points,
                min_candidate_space_points=min_candidate_points,
            ),
            json=json,
            plot=plot,
            force=force,
            progress=True,
        )
        print_rows("evaluated", report.rows())
        if report.edges_not_counted is not None:
            print_line(f"edges per stage not counted: {report.edges_not_counted}")
