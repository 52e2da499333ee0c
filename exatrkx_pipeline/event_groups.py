"""Small events side by side in one graph, so that the networks see long arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline.config import FeatureConfig
from exatrkx_pipeline.inputs import Cylindrical
from exatrkx_pipeline.ordering import in_input_order, outward_order

POINTS_TOGETHER = 4_000
"""Points of a group: more would fall out of the cache, and gain nothing."""


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Events as the stages take them: each sorted outward, one after the other."""

    points: Cylindrical
    orders: Sequence[NDArray[np.int64]]
    """Of each event: the place in its features of each of its points here."""

    splits: NDArray[np.int64]
    """Offsets of the events' points, shape (n_events + 1,)."""

    @classmethod
    def of(
        cls,
        events: Sequence[NDArray[np.float32]],
        features: FeatureConfig,
        device: str = "cpu",
    ) -> Self:
        """Sort the points of at least one event.

        Parameters
        ----------
        events : sequence of ndarray, shape (n_space_points, 3), float32
            Scaled r, phi, z.
        features : FeatureConfig
            Their scales.
        device : str
            Where the points go.

        Raises
        ------
        ValueError
            If an event has another shape or a value that is not finite.
        """
        checked = [_checked(event, len(features.names)) for event in events]
        orders = [outward_order(event, features) for event in checked]
        ordered = [
            np.take(event, order, axis=0)
            for event, order in zip(checked, orders, strict=True)
        ]
        scaled = ordered[0] if len(ordered) == 1 else np.concatenate(ordered)
        return cls(
            points=Cylindrical.of(torch.from_numpy(scaled).to(device), features),
            orders=orders,
            splits=np.cumsum([0, *map(len, events)]),
        )

    def labels(self, components: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Labels of each event's points as they came, numbered within the event."""
        own = np.split(components, self.splits[1:-1])
        return [
            in_input_order(each, order)
            for each, order in zip(own, self.orders, strict=True)
        ]


def plan_groups(
    sizes: Sequence[int], points_together: int = POINTS_TOGETHER
) -> Iterator[range]:
    """Consecutive events that are computed together.

    Parameters
    ----------
    sizes : sequence of int
        Space points of each event.
    points_together : int
        Most points of a group; a larger event is a group of its own.

    Yields
    ------
    range
        Positions of the group's events; together they are all, in order.
    """
    start, n_points = 0, 0
    for position, size in enumerate(sizes):
        if position > start and n_points + size > points_together:
            yield range(start, position)
            start, n_points = position, 0
        n_points += size
    if start < len(sizes):
        yield range(start, len(sizes))


def plan_shares(
    groups: Sequence[range],
    sizes: Sequence[int],
    n_threads: int,
    points_together: int = POINTS_TOGETHER,
) -> Iterator[list[tuple[int, int]]]:
    """Groups that are computed at the same time, one share by each thread.

    Parameters
    ----------
    groups : sequence of range
        Positions of each group's events.
    sizes : sequence of int
        Space points of each event.
    n_threads : int
        Most shares at a time.
    points_together : int
        A group of more points is computed alone, by all threads: two large events at a
        time would need the memory of both.

    Yields
    ------
    list of (first, end)
        Ranges of groups of about as many points each; one range at least.
    """
    n_points = [sum(sizes[i] for i in group) for group in groups]
    is_large = [n > points_together for n in n_points]
    start = 0
    while start < len(groups):
        if is_large[start] or n_threads == 1:
            yield [(start, start + 1)]
            start += 1
            continue
        stop = start
        while stop < len(groups) and not is_large[stop]:
            stop += 1
        ends = np.cumsum(n_points[start:stop])
        wanted = ends[-1] * np.arange(1, n_threads) / n_threads
        cuts = start + 1 + np.searchsorted(ends, wanted)
        borders = [start, *np.minimum(cuts, stop).tolist(), stop]
        yield [(a, b) for a, b in pairwise(borders) if a < b]
        start = stop


def _checked(features: NDArray[np.float32], n_features: int) -> NDArray[np.float32]:
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or features.shape[1] != n_features:
        raise ValueError(
            f"features: expected shape (n_space_points, {n_features}), "
            f"got {features.shape}"
        )
    if not np.isfinite(features).all():
        bad = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise ValueError(f"features: space point {bad} is not finite")
    return features
