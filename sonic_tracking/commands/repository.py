"""`sonic repository`: what a real Triton loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import sonic_tracking
from exatrkx_pipeline.model_names import SERVED_MODELS
from sonic_tracking.commands.console import one_line_errors, print_rows

__all__ = ["EXAMPLES", "repository"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic repository -o model_repository/[/cyan]

[cyan]sonic repository -o models/ --weights weights/ --instances 2 --device gpu[/cyan]

[cyan]sonic repository -o models/ --models exatrkx_ensemble[/cyan]
"""


def repository(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the models.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights folder, copied into each model; by default the bundled ones, "
            "which are named."
        ),
    ] = None,
    models: Annotated[
        str,
        typer.Option(help="Models to write, separated by commas.", show_default="all"),
    ] = ",".join(SERVED_MODELS),
    instances: Annotated[
        int, typer.Option(min=1, help="Requests that each model computes at once.")
    ] = 1,
    device: Annotated[
        Literal["cpu", "gpu"], typer.Option(help="Where the networks compute.")
    ] = "cpu",
    force: Annotated[
        bool, typer.Option("--force", help="Replace models that exist.")
    ] = False,
) -> None:
    """Write a Triton model repository from the pipeline and its weights.

    exatrkx and exatrkx_batch are the whole pipeline in one model, exatrkx_ensemble
    is a chain of six. Their cuts and scales are parameters in config.pbtxt.
    """
    with one_line_errors():
        written = sonic_tracking.write_repository(
            output,
            weights=weights,
            models=models.split(","),
            instances=instances,
            device=device,
            force=force,
        )
        print_rows("model repository", [*written.items(), ("written", str(output))])
