"""`sonic weights`: what is bundled, what it was trained on, imports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows
from sonic_tracking.commands.options import Columns, CsvScale, Unit, parse_scale

__all__ = ["app"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic weights list[/cyan]

[cyan]sonic weights measure weights/ events.root[/cyan]
"""

IMPORT_EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic weights import --embed embed.pt --filter filter.pt --gnn gnn.pt
--config cuts.toml -o weights/[/cyan]

[bold]cuts.toml[/bold]

features = { names = \\["r", "phi", "z"], scales = \\[3000.0, 3.14159265, 400.0] }

graph = { r_val = 1.6 }

filter = { filter_cut = 0.21 }

track_building = { method = "components", score_cut = 0.75 }
"""


def import_models(
    *,
    embed: Annotated[
        Path, typer.Option(help="TorchScript: space points to coordinates.")
    ],
    filter_: Annotated[
        Path,
        typer.Option("--filter", help="TorchScript: space points, edges to logits."),
    ],
    gnn: Annotated[
        Path,
        typer.Option(help="TorchScript of the same form, or tensors of a ResAGNN."),
    ],
    config: Annotated[
        Path,
        typer.Option(help="TOML file of scales and cuts, which the networks lack."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the weights.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace weights that exist.")
    ] = False,
) -> None:
    """Make a weights folder out of exatrkx-service's embed.pt, filter.pt, gnn.pt.

    TorchScript files are programs: they are kept, and run as they are. The paper's
    GNN is recognised by its tensors and its answers, and runs as our own.
    """
    with one_line_errors():
        imported = sonic_tracking.import_weights(
            embed, filter_, gnn, config, output, force=force
        )
        print_rows("imported", imported.rows())


def list_weights() -> None:
    """Show the bundled weights, and which events each was trained on."""
    with one_line_errors():
        rows = [each.row() for each in sonic_tracking.list_weights()]
        print_rows("weights", rows)


def measure(
    weights: Annotated[Path, typer.Argument(help="Folder of weights.")],
    files: Annotated[
        list[str],
        typer.Argument(help="Events like those of the training, of each kind."),
    ],
    *,
    max_events: Annotated[
        int | None, typer.Option(min=1, help="Events of each file; by default all.")
    ] = None,
    input_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of the files; by default detected."),
    ] = None,
    columns: Columns = None,
    unit: Unit = None,
    csv_scale: CsvScale = None,
) -> None:
    """Record in a weights folder which events it was trained on.

    Events far from these are refused: in other units, of another density.
    `sonic train` records it by itself; imported weights lack it.
    """
    with one_line_errors():
        measured = sonic_tracking.measure_weights(
            weights,
            files,
            format=input_format,
            columns=columns,
            unit=unit,
            csv_scale=parse_scale(csv_scale),
            max_events=max_events,
            progress=True,
        )
        print_rows("measured", measured.rows())


app = typer.Typer(
    no_args_is_help=True,
    help="Weights: what is bundled, what they were trained on, imports.",
    epilog=EXAMPLES,
)
app.command("list")(list_weights)
app.command("measure", epilog=EXAMPLES)(measure)
app.command("import", epilog=IMPORT_EXAMPLES)(import_models)
