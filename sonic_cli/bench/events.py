"""Events of a benchmark: read once, their features made once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers import ColumnMapping, FeatureScale, node_features, open_events

__all__ = ["Features", "read_features"]

Features = Sequence[NDArray[np.float32]]
"""One array of shape (n_space_points, 3) an event."""


def read_features(
    files: Sequence[Path],
    scale: FeatureScale,
    *,
    max_events: int | None = None,
    columns: ColumnMapping | None = None,
    csv_scale: FeatureScale | None = None,
) -> Features:
    """The features of all events, in memory: reading is not what is measured.

    Raises
    ------
    DataError
        If a file cannot be read, or has no events.
    """
    source = open_events(
        files, columns=columns, csv_scale=csv_scale, max_events=max_events
    )
    return [node_features(event.xyz, scale) for chunk in source for event in chunk]
