"""A model repository, written when it is sure that nothing is lost by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exatrkx_pipeline.repository import MODELS, plan_repository, write_repository
from exatrkx_pipeline.repository.plan import Device
from producers.model.errors import OutputError
from sonic_tracking.outputs import RefusedOutputError

__all__ = ["RepositoryJob", "run_repository"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryJob:
    """What `sonic repository` was asked for; see its options."""

    output: Path
    weights: Path | None = None
    models: tuple[str, ...] = MODELS
    instances: int = 1
    device: Device = "cpu"
    force: bool = False


def run_repository(job: RepositoryJob) -> list[tuple[str, str]]:
    """Write the models; what was written, in rows for a table.

    Raises
    ------
    PipelineConfigError
        If there is no such model.
    WeightsError
        If the weights cannot be used.
    RefusedOutputError
        If a model is there already, and `force` is not set.
    OutputError
        If the folder cannot be written.
    """
    plans = plan_repository(
        job.models,
        weights=job.weights,
        instances=job.instances,
        device=job.device,
    )
    there = [plan.name for plan in plans if (job.output / plan.name).exists()]
    if there and not job.force:
        raise RefusedOutputError(
            f"{job.output}: has {', '.join(there)} already; --force replaces them"
        )
    if not job.output.resolve().parent.is_dir():
        raise OutputError(
            job.output, f"folder {str(job.output.parent)!r} does not exist"
        )
    try:
        write_repository(job.output, plans, job.weights)
    except OSError as error:
        raise OutputError(
            job.output, f"cannot write: {error.strerror or error}"
        ) from error
    return [
        *((plan.name, "ensemble" if plan.steps else plan.device) for plan in plans),
        ("written", str(job.output)),
    ]
