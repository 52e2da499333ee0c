"""The pipeline that found some tracks, to be run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from producers import TrackEvents
from sonic_client import SonicError
from sonic_tracking.errors import MissingExtraError, needs_extra

if TYPE_CHECKING:
    from exatrkx_pipeline import Pipeline

__all__ = ["EdgesNotCountedError", "pipeline_of"]


class EdgesNotCountedError(SonicError):
    """The edges behind the tracks cannot be found again; the message says why."""


def pipeline_of(tracks: TrackEvents, weights: Path | None) -> Pipeline:
    """Load the weights that found the tracks.

    Parameters
    ----------
    tracks : TrackEvents
    weights : Path, optional
        Where they are; without it, those of the bundled ones that have their id.

    Raises
    ------
    EdgesNotCountedError
        If they are others, or none of the bundled ones.
    WeightsError
        If those that are named cannot be read.
    """
    try:
        with needs_extra("pipeline"):
            from exatrkx_pipeline import load_weights  # noqa: PLC0415 - loads torch
    except MissingExtraError as error:
        raise EdgesNotCountedError(str(error)) from error
    used = tracks.provenance.get("weights_id")
    if weights is None:
        weights = _bundled_with(used)
    pipeline = load_weights(weights)
    if pipeline.weights_id != used:
        raise EdgesNotCountedError(
            f"the tracks were found with the weights {used}, not with "
            f"{pipeline.weights_id}: give --weights"
        )
    return pipeline


def _bundled_with(weights_id: object) -> Path:
    from exatrkx_pipeline.weights.storage import (  # noqa: PLC0415 - loads torch
        BUNDLED,
        CONFIG_FILE,
        read_weights_config,
    )

    for file in sorted(BUNDLED.glob(f"*/{CONFIG_FILE}")):
        if read_weights_config(file.parent).get("weights_id") == weights_id:
            return file.parent
    raise EdgesNotCountedError(
        f"the tracks were found with the weights {weights_id}, which are not among "
        "the bundled ones: give --weights"
    )
