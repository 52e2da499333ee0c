"""`sonic serve`: the tracking models on a server of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sonic_tracking.errors import one_line_errors

__all__ = ["register", "serve"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic serve --engine mock --grpc-port 8001[/cyan]

[cyan]sonic serve --models models/ --faults plan.toml[/cyan]

[cyan]sonic serve --cassette cassette/[/cyan]

[cyan]sonic serve --engine triton --instances 2 --log triton.log[/cyan]

[cyan]sonic serve --engine triton --python other-env/bin/python[/cyan]

[cyan]sonic serve --engine triton --container docker:IMAGE --models models/[/cyan]
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(epilog=EXAMPLES)(serve)


def serve(
    *,
    engine: Annotated[
        Literal["mock", "triton"],
        typer.Option(help="NVIDIA's tritonserver, or the server in this process."),
    ] = "mock",
    weights: Annotated[
        Path | None, typer.Option(help="Weights directory; else the bundled ones.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(help="Model repository to serve; else the tracking models."),
    ] = None,
    load_model: Annotated[
        list[str] | None,
        typer.Option(help="Serve this model alone; may be given several times."),
    ] = None,
    model_control: Annotated[
        Literal["none", "explicit"],
        typer.Option(help="Whether clients may load and unload models."),
    ] = "none",
    faults: Annotated[
        Path | None,
        typer.Option(help="TOML file of what goes wrong, and when; of the mock."),
    ] = None,
    cassette: Annotated[
        Path | None,
        typer.Option(help="Answers recorded by sonic record, to replay; of the mock."),
    ] = None,
    instances: Annotated[
        int, typer.Option(min=1, help="Requests that each model computes at once.")
    ] = 1,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads that each instance computes with.")
    ] = 1,
    device: Annotated[
        Literal["cpu", "gpu"], typer.Option(help="Where triton's models compute.")
    ] = "cpu",
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback warn.")
    ] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535)] = 8001,
    http_port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free port.")
    ] = 8002,
    python: Annotated[
        Path | None,
        typer.Option(
            envvar="SONIC_TRITON_PYTHON",
            help="Python of the environment with the extra triton and the pipeline.",
        ),
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(
            metavar="RUNTIME:IMAGE",
            help="docker:, podman: or apptainer: image that has tritonserver.",
        ),
    ] = None,
    start_limit: Annotated[
        float, typer.Option(min=0.0, help="Seconds until it must be ready.")
    ] = 120.0,
    log: Annotated[
        Path | None, typer.Option(help="File for the output of tritonserver.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file; triton then speaks TLS, gRPC alone.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM file.")] = None,
    tls_client_roots: Annotated[
        Path | None,
        typer.Option(help="PEM file; clients must show a certificate signed by these."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that clients must send, over gRPC in header "
            "triton-grpc-protocol-authorization: Bearer TOKEN; the list of processes "
            "shows it."
        ),
    ] = None,
) -> None:
    """Serve models on this machine, until Ctrl-C or SIGTERM."""
    with one_line_errors():
        # Loaded here, for `sonic --help` is to be quick.
        from sonic_tracking.engines.settings import MODELS, EngineSettings  # noqa: PLC0415
        from sonic_tracking.engines.triton_command import Container  # noqa: PLC0415
        from sonic_tracking.jobs.serve import (  # noqa: PLC0415
            serve_in_foreground,
            server_tls,
            token_in,
        )

        gpu = device == "gpu"
        image = None if container is None else Container.parse(container, gpus=gpu)
        settings = EngineSettings(
            models=tuple(load_model or MODELS),
            is_all=not load_model,
            weights=weights,
            repository=models,
            model_control=model_control,
            faults=faults,
            cassette=cassette,
            host=host,
            instances=instances,
            threads=threads,
            gpu=gpu,
            grpc_port=grpc_port,
            http_port=http_port,
            metrics_port=metrics_port,
            python=python if engine == "triton" and image is None else None,
            container=None
            if container is None
            else Container.parse(container, gpus=gpu),
            start_limit_s=start_limit,
            log=log,
            tls=server_tls(tls_certificate, tls_key, tls_client_roots),
            token=None if token_file is None else token_in(token_file),
        )
        serve_in_foreground(engine, settings)
