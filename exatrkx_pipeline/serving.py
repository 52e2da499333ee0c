"""The pipeline as served models: named tensors in, named tensors out.

The one adapter that the in-process server and a real Triton share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.stages import StageClock

Tensors = Mapping[str, NDArray[Any]]
TensorSpec = tuple[str, str, tuple[int, ...]]
"""Name, KServe datatype, shape with -1 for a free dimension."""

FEATURES: TensorSpec = ("FEATURES", "FP32", (-1, 3))
ROW_SPLITS: TensorSpec = ("ROW_SPLITS", "INT64", (-1,))
LABELS: TensorSpec = ("LABELS", "INT64", (-1,))


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a server needs to know of a model. ``max_batch_size`` is always 0."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, str]
    """Feature names and scales, cuts, weights id: a client reads them."""
    function: Callable[[Tensors], dict[str, NDArray[Any]]]


def served_models(
    pipeline: Pipeline, clock: StageClock | None = None
) -> tuple[ServedModel, ...]:
    """The pipeline as ``exatrkx`` (one event) and ``exatrkx_batch`` (several).

    Parameters
    ----------
    pipeline : Pipeline
        May be called from several threads at once.
    clock : StageClock, optional
        Receives the time of each stage, summed over all requests.
    """
    parameters = model_parameters(pipeline)

    def find_tracks(inputs: Tensors) -> dict[str, NDArray[Any]]:
        return {"LABELS": pipeline.labels(inputs["FEATURES"], clock)}

    def find_tracks_in_batch(inputs: Tensors) -> dict[str, NDArray[Any]]:
        features = inputs["FEATURES"]
        events = split_rows(features, inputs["ROW_SPLITS"])
        labels = [pipeline.labels(event, clock) for event in events]
        empty = np.empty(0, dtype=np.int64)
        return {"LABELS": np.concatenate(labels) if labels else empty}

    return (
        ServedModel("exatrkx", (FEATURES,), (LABELS,), parameters, find_tracks),
        ServedModel(
            "exatrkx_batch",
            (FEATURES, ROW_SPLITS),
            (LABELS,),
            parameters,
            find_tracks_in_batch,
        ),
    )


def model_parameters(pipeline: Pipeline) -> dict[str, str]:
    """What travels with the model: scales and cuts as text, in full precision."""
    config = pipeline.config
    return {
        "feature_names": ",".join(config.features.names),
        "feature_scales": ",".join(map(repr, config.features.scales)),
        "feature_units": "mm,rad,mm",
        "r_val": repr(config.graph.r_val),
        "filter_cut": repr(config.filter.filter_cut),
        "track_building": config.track_building.method,
        "score_cut": repr(config.track_building.score_cut),
        "weights_id": pipeline.weights_id,
    }


def split_rows(
    features: NDArray[np.float32], row_splits: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    """The events of a joined tensor, as views.

    Parameters
    ----------
    features : ndarray, shape (n_space_points, 3), float32
        Events one after the other.
    row_splits : ndarray, shape (n_events + 1,), int64
        Offsets: event `i` is ``features[row_splits[i]:row_splits[i + 1]]``.

    Raises
    ------
    ValueError
        If the offsets do not start at 0, descend, or do not end at the last row.
    """
    if (
        not len(row_splits)
        or row_splits[0] != 0
        or row_splits[-1] != len(features)
        or (np.diff(row_splits) < 0).any()
    ):
        raise ValueError(
            f"ROW_SPLITS must ascend from 0 to the {len(features)} rows of FEATURES, "
            f"got {np.array2string(row_splits, threshold=6)}"
        )
    return np.split(features, row_splits[1:-1])
