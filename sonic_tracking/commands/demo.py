"""`sonic demo`: the whole job on the bundled sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sonic_tracking.command_line import this_command
from sonic_tracking.commands.printing import print_line, print_rows
from sonic_tracking.errors import needs_extra, one_line_errors

__all__ = ["demo", "register"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic demo[/cyan]

[cyan]sonic demo -o results/ --force[/cyan]
"""

SAMPLE = Path(__file__).parents[1] / "sample"


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(demo)


def demo(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for the two files."),
    ] = Path(),
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder; the bundled ones if none.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace outputs that exist.")
    ] = False,
) -> None:
    """Find and judge the tracks of 20 simulated events that come with the package.

    A server in this process finds them, through the client that would ask a
    Triton. Leaves tracks.root and tracks.png.
    """
    with one_line_errors():
        # Loaded here, for `sonic --help` is to be quick.
        with needs_extra("plot"):
            import hist.intervals  # noqa: F401, PLC0415
        from sonic_tracking.jobs.evaluate import EvaluationJob, run_evaluation  # noqa: PLC0415
        from sonic_tracking.jobs.track import TrackingJob, run_tracking  # noqa: PLC0415
        from sonic_tracking.outputs import check_outputs  # noqa: PLC0415

        tracks, picture = output / "tracks.root", output / "tracks.png"
        check_outputs({"tracks": tracks, "picture": picture}, force=force)
        tracked = run_tracking(
            TrackingJob(
                files=(SAMPLE / "events.root",),
                output=tracks,
                weights=weights,
                force=force,
                command=this_command(),
            )
        )
        evaluated = run_evaluation(
            EvaluationJob(
                tracks=tracks,
                truth=(SAMPLE / "truth.root",),
                weights=weights,
                plot=picture,
                force=force,
            )
        )
        print_rows("job", tracked.rows())
        print_rows("tracks against truth", evaluated.report.rows())
        print_line(f"picture: {picture}")
