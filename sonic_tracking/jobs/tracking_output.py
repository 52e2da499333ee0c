"""The file of a tracking job: opened, with where its tracks come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from producers import EventSource, TrackWriter
from sonic_client import ModelMetadata
from sonic_tracking.jobs.server import ServerInUse

if TYPE_CHECKING:
    from sonic_tracking.jobs.tracking import TrackingJob

__all__ = ["open_writer"]


@contextmanager
def open_writer(
    job: TrackingJob, source: EventSource, model: ModelMetadata, server: ServerInUse
) -> Iterator[TrackWriter]:
    """Give the writer; if the job ends early, say what it leaves."""
    provenance = _provenance(job, source, model, server)
    same = ("inputs", "n_events", "model", "columns", "csv_scale", "min_space_points")
    writer = TrackWriter(
        job.output,
        provenance,
        format=job.output_format,
        force=job.force,
        resume=job.resume,
        job={name: provenance[name] for name in same} | {"on_failure": job.on_failure},
    )
    try:
        with writer:
            yield writer
    finally:
        if writer.partial.is_dir():
            more = " with parts that workers finished" if writer.parts.is_dir() else ""
            typer.echo(
                f"sonic: {writer.n_done} events are in {writer.partial}{more}; "
                "--resume goes on from there",
                err=True,
            )


def _provenance(
    job: TrackingJob, source: EventSource, model: ModelMetadata, server: ServerInUse
) -> dict[str, Any]:
    packages = ["sonic-tracking", "numpy", "uproot", "tritonclient"]
    packages += ["torch"] if server.is_own else []
    return {
        "command": job.command,
        "inputs": [
            name if "://" in name else str(Path(name).resolve())
            for name in source.names
        ],
        "format": job.input_format,
        "n_events": len(source),
        "server": "in this process" if server.is_own else server.url,
        "model": {
            "name": model.name,
            "version": model.version,
            "platform": model.platform,
            "parameters": dict(model.parameters),
        },
        "weights_id": model.parameters.get("weights_id"),
        "layout": job.client.table().get("layout", "per_event"),
        "columns": job.columns and _given(asdict(job.columns)),
        "csv_scale": job.csv_scale and asdict(job.csv_scale),
        "min_space_points": job.min_space_points,
        "versions": {package: version(package) for package in packages},
    }


def _given(columns: Mapping[str, str | None]) -> dict[str, str]:
    return {kind: name for kind, name in columns.items() if name is not None}
