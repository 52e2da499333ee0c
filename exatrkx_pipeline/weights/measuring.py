"""The range of the events that weights were trained on, measured on some of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.errors import WeightsError
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.stages import StageClock
from sonic_base.input_range import InputRange, Spread, event_density

MIN_POINTS_OF_CANDIDATE = 3
MAX_VALUES = 4_000_000
"""Most space points whose positions are kept, about this many of all events."""


def measure_input_range(
    pipeline: Pipeline, events: Iterable[NDArray[np.float32]]
) -> InputRange:
    """Return the range of the events, and of what the pipeline makes of them.

    Parameters
    ----------
    pipeline : Pipeline
        Its weights; the pipeline finds the tracks of each event.
    events : iterable of ndarray, shape (n_space_points, 3), float32
        Scaled features of events like those of the training: of each kind that it had,
        and enough of them to have the rare ones, too. Empty ones are left out.

    Raises
    ------
    WeightsError
        If there is no event with space points.
    """
    pipeline = pipeline.with_checks(lambda _: None)
    columns: list[NDArray[np.float64]] = []
    of_events: list[tuple[float, float, float, float]] = []
    for features in events:
        n_points = len(features)
        if not n_points:
            continue
        values = features.astype(np.float64) * pipeline.config.features.scales
        clock = StageClock()
        labels = pipeline.labels(features, clock)
        size_of_own = np.bincount(labels)[labels]
        of_events.append(
            (
                n_points,
                event_density(*values.T),
                clock.counts["radius_edges"] / n_points,
                float(np.mean(size_of_own >= MIN_POINTS_OF_CANDIDATE)),
            )
        )
        columns.append(values)
    if not of_events:
        raise WeightsError("no events with space points to measure the range of")
    space_points, density, edges_per_point, on_candidates = np.array(of_events).T
    together = np.concatenate(columns)
    step = 1 + len(together) // MAX_VALUES
    return InputRange(
        n_events=len(of_events),
        features={
            name: Spread.of(column[::step])
            for name, column in zip(
                pipeline.config.features.names, together.T, strict=True
            )
        },
        space_points=Spread.of(space_points),
        density=Spread.of(density),
        edges_per_point=Spread.of(edges_per_point),
        on_candidates=Spread.of(on_candidates),
    )
