"""`sonic train`: weights from events with truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sonic_tracking.commands.printing import print_rows
from sonic_tracking.errors import needs_extra, one_line_errors

__all__ = ["register", "train"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic train --events events.root --truth truth.root -o weights/[/cyan]

[cyan]sonic train --recipe recipe.toml -o w/ --plot curves.png[/cyan]

[cyan]sonic train --recipe tune.toml --from generic_pileup -o tuned/ --resume[/cyan]
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(train)


def train(
    *,
    events: Annotated[
        list[Path] | None,
        typer.Option(help="ROOT file of space points; may be given several times."),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option(help="ROOT file of their truth, in the same order."),
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
            "--from", metavar="WEIGHTS", help="Weights to start from, not random ones."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Instead of the recipe's.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of torch; all cores unless given."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the learning curves (png, pdf).")
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, metavar="STEPS", help="How often the state is kept.")
    ] = 200,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from what an interrupted training left."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace outputs that exist.")
    ] = False,
) -> None:
    """Train embedding, edge filter and GNN, and write a weights folder.

    The last events of each sample (50 in the built-in recipe) are not trained
    on: they choose the cuts and give the scores that the folder records. A
    training that is interrupted leaves its state in <output>.partial, from
    where --resume goes on to the same weights.
    """
    with one_line_errors():
        # Loaded here, for `sonic --help` is to be quick; and before the hours of
        # work, because the scores at its end need hist.
        with needs_extra("plot"):
            import hist.intervals  # noqa: F401, PLC0415
        with needs_extra("pipeline"):
            from sonic_tracking.jobs.train import TrainingJob, run_training  # noqa: PLC0415

        job = TrainingJob(
            events=tuple(events or ()),
            truth=tuple(truth or ()),
            output=output,
            recipe=recipe,
            start_from=start_from,
            seed=seed,
            threads=threads,
            plot=plot,
            checkpoint_every=checkpoint_every,
            resume=resume,
            force=force,
        )
        print_rows("trained", run_training(job).rows())
