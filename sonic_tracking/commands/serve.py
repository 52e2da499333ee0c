"""`sonic serve`: the tracking models on a server of this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows

__all__ = ["EXAMPLES", "serve"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic serve --engine mock --grpc-port 8001[/cyan]

[cyan]sonic serve --models models/ --faults plan.toml[/cyan]

[cyan]sonic serve --cassette cassette/[/cyan]

[cyan]sonic serve --engine triton --instances 2 --log triton.log[/cyan]

[cyan]sonic serve --engine triton --python other-env/bin/python[/cyan]

[cyan]sonic serve --engine triton --container docker:IMAGE --models models/[/cyan]
"""


def serve(
    *,
    engine: Annotated[
        Literal["mock", "triton"],
        typer.Option(help="NVIDIA's tritonserver, or the server in this process."),
    ] = "mock",
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder; by default the bundled ones.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(help="Model repository to serve in place of the tracking models."),
    ] = None,
    load_model: Annotated[
        list[str] | None,
        typer.Option(help="Serve only this model; may be given several times."),
    ] = None,
    model_control: Annotated[
        Literal["none", "explicit"],
        typer.Option(help="Whether clients may load and unload models."),
    ] = "none",
    faults: Annotated[
        Path | None,
        typer.Option(help="TOML file of the faults to inject (mock)."),
    ] = None,
    cassette: Annotated[
        Path | None,
        typer.Option(help="Answers recorded by sonic record, to replay (mock)."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="Release of Triton to behave as, such as 26.04; 24.10 by default "
            "(mock).",
        ),
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
        str, typer.Option(help="Address to listen on; a warning if it is not loopback.")
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
        Path | None,
        typer.Option(help="PEM file; triton then speaks TLS, over gRPC only."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM file.")] = None,
    tls_client_roots: Annotated[
        Path | None,
        typer.Option(help="PEM file; clients must show a certificate signed by these."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that clients must send: header authorization: "
            "Bearer TOKEN. To triton over gRPC, the header begins with "
            "triton-grpc-protocol-, and the list of processes shows the token."
        ),
    ] = None,
) -> None:
    """Serve models on this machine, until Ctrl-C or SIGTERM."""
    with one_line_errors(), suppress(KeyboardInterrupt):  # the intended end
        server = sonic_tracking.serve(
            engine,
            weights=weights,
            repository=models,
            load_models=load_model or (),
            model_control=model_control,
            faults=faults,
            cassette=cassette,
            profile=profile,
            instances=instances,
            threads=threads,
            device=device,
            host=host,
            grpc_port=grpc_port,
            http_port=http_port,
            metrics_port=metrics_port,
            python=python,
            container=container,
            start_limit_s=start_limit,
            log=log,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            tls_client_roots=tls_client_roots,
            token_file=token_file,
        )
        with server:
            print_rows(f"{engine} serves", server.rows())
            server.wait()
