"""The whole chain in one model: nothing between its stages leaves the process.

What the paper calls a custom backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.serving.parameters import model_parameters
from exatrkx_pipeline.serving.served_model import ServedModel, Tensors, TensorSpec
from exatrkx_pipeline.stages import StageClock

FEATURES: TensorSpec = ("FEATURES", "FP32", (-1, 3))
ROW_SPLITS: TensorSpec = ("ROW_SPLITS", "INT64", (-1,))
LABELS: TensorSpec = ("LABELS", "INT64", (-1,))


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
        labels = pipeline.labels_of(events, clock)
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
