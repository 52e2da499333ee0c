"""`sonic models`: weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows

__all__ = ["app"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic models import --embed embed.pt --filter filter.pt --gnn gnn.pt
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


app = typer.Typer(no_args_is_help=True, help="Weights from elsewhere.", epilog=EXAMPLES)
app.command("import", epilog=EXAMPLES)(import_models)


@app.callback()
def _models() -> None:
    """Use networks that were trained elsewhere."""
