"""`sonic train`: weights from events with truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows
from sonic_tracking.commands.options import Columns, Force, Unit

__all__ = ["EXAMPLES", "train"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic train --events events.root --truth truth.root -o weights/[/cyan]

[cyan]sonic train --recipe recipe.toml -o w/ --plot curves.png[/cyan]

[cyan]sonic train --recipe tune.toml --from generic_pileup -o tuned/ --resume[/cyan]
"""


def train(
    *,
    events: Annotated[
        list[Path] | None,
        typer.Option(help="File of space points; may be given several times."),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option(help="File of their truth, in the same order."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the weights.")
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of samples, networks and schedules, or the name of a "
            "recipe in the package; see docs/training.md."
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="WEIGHTS",
            help="Weights to start from, in place of random ones.",
        ),
    ] = None,
    columns: Columns = None,
    unit: Unit = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed in place of the recipe's.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of torch; by default all cores."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the learning curves (png, pdf).")
    ] = None,
    checkpoint_every: Annotated[
        int,
        typer.Option(min=1, metavar="STEPS", help="Steps between two saved states."),
    ] = 200,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from an interrupted training."),
    ] = False,
    force: Force = False,
) -> None:
    """Train embedding, edge filter and GNN, and write a weights folder.

    The last events of each sample (50 in the built-in recipe) are not trained
    on: they choose the cuts and give the scores that the folder records. A
    training that is interrupted leaves its state in <output>.partial, from
    where --resume goes on to the same weights.
    """
    with one_line_errors():
        result = sonic_tracking.train(
            output,
            events=events or (),
            truth=truth or (),
            recipe=recipe,
            start_from=start_from,
            columns=columns,
            truth_columns=columns,
            unit=unit,
            seed=seed,
            threads=threads,
            plot=plot,
            checkpoint_every=checkpoint_every,
            resume=resume,
            force=force,
            progress=True,
        )
        print_rows("trained", result.rows())
