"""Events of a benchmark: read once, their features made once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers import FeatureScale, node_features, open_events
from producers.io import locations

__all__ = ["Features", "local_files", "read_features"]

Features = Sequence[NDArray[np.float32]]
"""One array of shape (n_space_points, 3) an event."""


def local_files(files: Sequence[str]) -> tuple[Path, ...]:
    """Those of the inputs that are files of this machine: no output may replace them.

    Raises
    ------
    DataError
        If one leads to no file.
    """
    return tuple(path for path in locations(files) if isinstance(path, Path))


def read_features(
    files: Sequence[str],
    scale: FeatureScale,
    *,
    max_events: int | None = None,
    csv_scale: FeatureScale | None = None,
) -> Features:
    """The features of all events, in memory: reading is not what is measured.

    Raises
    ------
    DataError
        If a file cannot be read, or has no events.
    """
    source = open_events(files, csv_scale=csv_scale, max_events=max_events)
    return [node_features(event.xyz, scale) for chunk in source for event in chunk]
