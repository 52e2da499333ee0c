"""A model repository for as long as a server needs it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sonic_tracking.errors import needs_extra

__all__ = ["written_repository"]


@contextmanager
def written_repository(
    models: Iterable[str], weights: Path | None, *, instances: int, gpu: bool
) -> Iterator[Path]:
    """Folder of a repository of these models, removed at the end of the block.

    Raises
    ------
    MissingExtraError
        If the pipeline is not installed.
    WeightsError, PipelineConfigError
        If it cannot be written for these weights, models and instances.
    """
    with needs_extra("pipeline"):
        from exatrkx_pipeline.repository import (  # noqa: PLC0415
            plan_repository,
            write_repository,
        )
    plans = plan_repository(
        models, weights=weights, instances=instances, device="gpu" if gpu else "cpu"
    )
    with tempfile.TemporaryDirectory(prefix="sonic-repository-") as folder:
        repository = Path(folder) / "models"
        write_repository(repository, plans, weights)
        yield repository
