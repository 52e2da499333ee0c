"""`sonic bench`: rates, latencies, and where the time goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sonic_tracking.commands.console import (
    one_line_errors,
    print_line,
    print_table,
    this_command,
)
from sonic_tracking.commands.options import (
    Columns,
    CsvScale,
    Force,
    Unit,
    parse_scale,
)
from sonic_tracking.errors import needs_extra

__all__ = ["app"]

SERVICE_EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic bench service --input events.root --plot service.png[/cyan]

[cyan]sonic bench service --input events.root --engine mock --concurrency 1,4,16
--instances 1:2 --model exatrkx,direct --json service.json[/cyan]
"""
PIPELINE_EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic bench pipeline --input events.root --plot pipeline.png[/cyan]

[cyan]sonic bench pipeline --input events.root --points 1000:600000 --threads 2
--json pipeline.json --markdown pipeline.md[/cyan]
"""
EXPORT_EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic bench export --input events.root -o input.json[/cyan]

[cyan]perf_analyzer -m exatrkx -i grpc -u localhost:8001 --input-data input.json[/cyan]
"""

Events = Annotated[
    list[str],
    typer.Option("--input", help="File, or pattern of files; may be given again."),
]
MaxEvents = Annotated[
    int | None, typer.Option(min=1, help="Use at most this number of events.")
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights folder; by default the bundled ones.")
]


def service(
    *,
    events: Events,
    concurrency: Annotated[
        str, typer.Option(metavar="FIRST:LAST[:STEP]", help="Requests in flight.")
    ] = "1:16",
    instances: Annotated[
        str,
        typer.Option(
            metavar="FIRST:LAST[:STEP]", help="Instances of the model; also threads."
        ),
    ] = "1:4",
    engine: Annotated[
        Literal["mock", "triton"], typer.Option(help="Server of the models.")
    ] = "triton",
    model: Annotated[
        str,
        typer.Option(
            help="Some of exatrkx, exatrkx_ensemble, direct.", show_default="all"
        ),
    ] = "exatrkx,exatrkx_ensemble,direct",
    passes: Annotated[
        int, typer.Option(min=1, help="Passes over all events at each point.")
    ] = 3,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads that each instance computes with.")
    ] = 1,
    device: Annotated[
        Literal["cpu", "gpu"], typer.Option(help="Where the networks compute.")
    ] = "cpu",
    max_events: MaxEvents = None,
    weights: Weights = None,
    columns: Columns = None,
    unit: Unit = None,
    csv_scale: CsvScale = None,
    python: Annotated[
        Path | None,
        typer.Option(
            envvar="SONIC_TRITON_PYTHON",
            help="Python of the environment with the extra triton and the pipeline.",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for all figures.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture (png, pdf).")] = None,
    force: Force = False,
) -> None:
    """Scan throughput and latency against concurrency and instances.

    A server is started for each number of instances. All events are read before; a
    few are sent to warm up, then all of them, `--passes` times. "direct" is the
    pipeline in this process, with as many threads as there are instances.
    """
    with one_line_errors():
        with needs_extra("bench"):
            import psutil  # noqa: F401, PLC0415
        with needs_extra("pipeline"):
            from sonic_tracking.bench.service import ServiceBench, run_service_bench  # noqa: PLC0415
            from sonic_tracking.bench.service_report import (  # noqa: PLC0415
                HEADER,
                parse_range,
                plan_scan,
            )

        job = ServiceBench(
            files=tuple(events),
            points=plan_scan(
                model.split(","),
                parse_range(concurrency, "--concurrency"),
                parse_range(instances, "--instances"),
            ),
            engine=engine,
            weights=weights,
            max_events=max_events,
            columns=columns,
            unit=unit,
            csv_scale=parse_scale(csv_scale),
            passes=passes,
            threads=threads,
            gpu=device == "gpu",
            python=python,
            json=json,
            plot=plot,
            force=force,
            command=this_command(),
        )
        scan = run_service_bench(job)
        print_table("service", HEADER, [each.row() for each in scan.measurements])


def pipeline(
    *,
    events: Events,
    points: Annotated[
        str, typer.Option(metavar="FIRST:LAST", help="Sizes of events.")
    ] = "1000:100000",
    workers: Annotated[
        str,
        typer.Option(
            metavar="FIRST:LAST[:STEP]", help="Threads for the events as they are."
        ),
    ] = "1:2",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads for the sizes and the baselines.")
    ] = 1,
    baseline_points: Annotated[
        int, typer.Option(min=1, help="Size of the event for the baselines.")
    ] = 30_000,
    max_events: MaxEvents = None,
    weights: Weights = None,
    columns: Columns = None,
    unit: Unit = None,
    csv_scale: CsvScale = None,
    json: Annotated[Path | None, typer.Option(help="File for all figures.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown file for the tables.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture (png, pdf).")] = None,
    force: Force = False,
) -> None:
    """Measure the pipeline in this process: rate, latency, cost against size, memory.

    Events as they are: one by one, side by side on threads, then all in one batch.
    Sizes: several events overlaid, each rotated about the beam, and a part of the last
    one. Baselines: the neighbour search against scipy's tree, and faiss where it is
    installed; the networks against themselves from TorchScript.
    """
    with one_line_errors():
        with needs_extra("bench"):
            import psutil  # noqa: F401, PLC0415
        with needs_extra("pipeline"):
            from sonic_tracking.bench.events import parse_sizes  # noqa: PLC0415
            from sonic_tracking.bench.pipeline import PipelineBench, run_pipeline_bench  # noqa: PLC0415
            from sonic_tracking.bench.service_report import parse_range  # noqa: PLC0415

        report = run_pipeline_bench(
            PipelineBench(
                files=tuple(events),
                sizes=parse_sizes(points, "--points"),
                workers=parse_range(workers, "--workers"),
                weights=weights,
                max_events=max_events,
                columns=columns,
                unit=unit,
                csv_scale=parse_scale(csv_scale),
                threads=threads,
                baseline_points=baseline_points,
                json=json,
                markdown=markdown,
                plot=plot,
                force=force,
                command=this_command(),
            )
        )
        for table in report.tables():
            print_table(*table)
        print_line(report.conclusion())


def export(
    *,
    events: Events,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="JSON file for perf_analyzer.")
    ],
    max_events: MaxEvents = None,
    weights: Weights = None,
    columns: Columns = None,
    unit: Unit = None,
    csv_scale: CsvScale = None,
    force: Force = False,
) -> None:
    """Write events as perf_analyzer's input, their features scaled for the weights."""
    with one_line_errors():
        with needs_extra("pipeline"):
            from sonic_tracking.bench.events import export_events  # noqa: PLC0415

        n_events = export_events(
            events,
            output,
            max_events=max_events,
            weights=weights,
            columns=columns,
            unit=unit,
            csv_scale=parse_scale(csv_scale),
            force=force,
        )
        print_line(f"{n_events} events in {output}")


app = typer.Typer(
    no_args_is_help=True, help="Measure how fast it is.", epilog=SERVICE_EXAMPLES
)
app.command(epilog=SERVICE_EXAMPLES)(service)
app.command(epilog=PIPELINE_EXAMPLES)(pipeline)
app.command(epilog=EXPORT_EXAMPLES)(export)
