"""`sonic demo`: the whole job on the bundled sample."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import (
    one_line_errors,
    print_line,
    print_rows,
    this_command,
)
from sonic_tracking.commands.options import Force
from sonic_tracking.errors import needs_extra

__all__ = ["EXAMPLES", "demo"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic demo[/cyan]

[cyan]sonic demo -o results/ --force[/cyan]
"""


def demo(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for the files."),
    ] = Path(),
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder; by default the bundled ones.")
    ] = None,
    force: Force = False,
) -> None:
    """Find and evaluate the tracks of 20 simulated events that come with the package.

    A server in this process finds them, through the same client that would ask a
    Triton. Leaves the events, their truth, the tracks and a picture: events.root,
    truth.root, tracks.root and tracks.png.
    """
    with one_line_errors():
        with needs_extra("plot"):
            import hist.intervals  # noqa: F401, PLC0415 - before any work is done
        from sonic_tracking.outputs import check_outputs  # noqa: PLC0415 - start-up

        events, truth = output / "events.root", output / "truth.root"
        tracks, picture = output / "tracks.root", output / "tracks.png"
        check_outputs(
            {"events": events, "truth": truth, "tracks": tracks, "picture": picture},
            force=force,
        )
        for copy in (events, truth):
            shutil.copyfile(sonic_tracking.SAMPLE / copy.name, copy)
        found = sonic_tracking.track(
            events,
            output=tracks,
            weights=weights,
            force=force,
            progress=True,
            command=this_command(),
        )
        report = sonic_tracking.evaluate(
            found, truth, weights=weights, plot=picture, force=force, progress=True
        )
        print_rows("job", found.report.rows())
        print_rows("tracks against truth", report.rows())
        print_line(f"picture: {picture}")
        print_line("\n".join(["go on with:", *next_steps(output)]))


def next_steps(folder: Path) -> list[str]:
    """Return commands for the user's shell, which may not have `sonic` on its path."""
    environment = Path(sys.prefix)
    is_active = os.environ.get("VIRTUAL_ENV") == sys.prefix
    lines = []
    if sys.prefix != sys.base_prefix and not is_active:
        here = Path.cwd()
        if environment.is_relative_to(here):
            environment = environment.relative_to(here)
        lines.append(f"  source {environment}/bin/activate")
    mine = folder / "mine.root"
    return [
        *lines,
        f"  sonic track {folder / 'events.root'} -o {mine}",
        f"  sonic evaluate {mine} --truth {folder / 'truth.root'}",
    ]
