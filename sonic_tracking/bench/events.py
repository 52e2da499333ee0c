"""Events of a benchmark: read once, of any size, or for perf_analyzer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline import bundled_weights, load_weights
from producers import FeatureScale, node_features, open_events
from producers.io import PerfAnalyzerWriter, locations
from sonic_base.errors import ConfigError
from sonic_tracking.columns import point_columns
from sonic_tracking.outputs import check_outputs

__all__ = [
    "Features",
    "export_events",
    "local_files",
    "overlaid",
    "parse_sizes",
    "plan_sizes",
    "read_features",
]

Features = Sequence[NDArray[np.float32]]
"""One array of shape (n_space_points, 3) per event."""


def local_files(files: Sequence[str]) -> tuple[Path, ...]:
    """Return the inputs that are local files, which no output may replace.

    Raises
    ------
    DataError
        If an input does not exist.
    """
    return tuple(path for path in locations(files) if isinstance(path, Path))


def read_features(
    files: Sequence[str],
    scales: Sequence[float],
    *,
    max_events: int | None = None,
    columns: Path | None = None,
    unit: str | None = None,
    csv_scale: FeatureScale | None = None,
) -> Features:
    """Return the features of all events, in memory: reading is not measured.

    Raises
    ------
    DataError
        If a file cannot be read, or has no events.
    """
    source = open_events(
        files,
        columns=point_columns(columns),
        unit=unit,
        csv_scale=csv_scale,
        max_events=max_events,
    )
    scale = FeatureScale(*scales)
    return [node_features(event.xyz, scale) for chunk in source for event in chunk]


STEPS = (1, 3)  # a decade: 1k, 3k, 10k, ...


def plan_sizes(first: int, last: int) -> tuple[int, ...]:
    """Return sizes from first to last, two per decade, both ends included."""
    decades = range(int(math.log10(first)), int(math.log10(last)) + 1)
    between = {step * 10**decade for decade in decades for step in STEPS}
    return tuple(
        sorted({first, last} | {size for size in between if first < size < last})
    )


def parse_sizes(text: str, option: str) -> tuple[int, ...]:
    """Return the sizes of ``FIRST:LAST``, by `plan_sizes`, or one size.

    Raises
    ------
    ConfigError
        If the text has another form.
    """
    ends = [part for part in text.split(":") if part.isdecimal()]
    numbers = [int(part) for part in ends]
    if (
        len(ends) != text.count(":") + 1
        or len(ends) > 2
        or not 0 < numbers[0] <= numbers[-1]
    ):
        raise ConfigError(
            f"{option} {text!r}: expected FIRST:LAST in ascending order, or one number"
        )
    return plan_sizes(numbers[0], numbers[-1])


def overlaid(
    events: Sequence[NDArray[np.float32]],
    n_points: int,
    phi_scale: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return an event of exactly `n_points`, as dense as pileup would make it.

    Parameters
    ----------
    events : sequence of ndarray, shape (n, 3), float32
        Scaled r, phi, z. They are used in turn, each rotated randomly in phi, the last
        one in part. At least one must have points.
    n_points : int
        Space points of the result.
    phi_scale : float
        Divisor of phi, in rad.
    rng : numpy Generator
        For the rotations, and for the choice among the last event's points.

    Returns
    -------
    ndarray, shape (n_points, 3), float32

    Raises
    ------
    ValueError
        If no event has any points.
    """
    if not any(len(event) for event in events):
        raise ValueError("no event has any space points")
    parts: list[NDArray[np.float32]] = []
    n_left = n_points
    while n_left > 0:
        event = events[len(parts) % len(events)]
        turned = event.astype(np.float64)
        phi = turned[:, 1] * phi_scale + rng.uniform(0.0, 2.0 * math.pi)
        turned[:, 1] = np.remainder(phi + math.pi, 2.0 * math.pi) - math.pi
        turned[:, 1] /= phi_scale
        if len(turned) > n_left:
            turned = turned[rng.permutation(len(turned))[:n_left]]
        parts.append(turned.astype(np.float32))
        n_left -= len(turned)
    return np.concatenate([np.empty((0, 3), np.float32), *parts])


def export_events(
    files: Sequence[str],
    output: Path,
    *,
    max_events: int | None = None,
    weights: Path | None = None,
    columns: Path | None = None,
    unit: str | None = None,
    csv_scale: FeatureScale | None = None,
    force: bool = False,
) -> int:
    """Write events for perf_analyzer, scaled for the weights; return their number.

    Raises
    ------
    ConfigError, DataError
        If an input or the output is wrong.
    WeightsError
        If the weights, which have the scales, cannot be used.
    """
    check_outputs({"--output": output}, inputs=local_files(files), force=force)
    features = read_features(
        files,
        load_weights(weights or bundled_weights()).config.features.scales,
        max_events=max_events,
        columns=columns,
        unit=unit,
        csv_scale=csv_scale,
    )
    with PerfAnalyzerWriter(output, force=force) as writer:
        for event in features:
            writer.write({"FEATURES": event})
    return len(features)
