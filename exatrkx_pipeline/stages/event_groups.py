"""Events as the stages take them: points sorted outward, small events side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline.config import FeatureConfig
from exatrkx_pipeline.stages.inputs import Cylindrical
from exatrkx_pipeline.tracks.track_building import number_by_first_appearance

POINTS_TOGETHER = 4_000
"""Most points of a group: more would not fit the cache, and gain nothing."""


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Events as the stages take them: each sorted outward, one after the other."""

    points: Cylindrical
    orders: Sequence[NDArray[np.int64]]
    """Per event, the input row of each sorted point."""

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
        checked = [checked_features(event, len(features.names)) for event in events]
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


def outward_order(
    features: NDArray[np.float32], config: FeatureConfig
) -> NDArray[np.int64]:
    """Permutation that sorts space points by their distance from the origin.

    Parameters
    ----------
    features : ndarray, shape (n_space_points, 3), float32
        Scaled r, phi, z.
    config : FeatureConfig
        Their scales.

    Returns
    -------
    ndarray, shape (n_space_points,), int64
        Index of the innermost point first. Ties are broken by r, phi and z, so the
        sorted points, and with them all later results, do not depend on the order of
        the input; points that agree in all three are interchangeable.

    Notes
    -----
    Distance is sqrt(r^2 + z^2), as tracking-as-a-service sorts its hits; an edge with
    row > column then points from the outer to the inner point.
    """
    r_scale, _, z_scale = config.scales
    r, phi, z = np.asarray(features, dtype=np.float64).T
    distance = np.hypot(r * r_scale, z * z_scale)
    order = np.argsort(distance)
    is_tie = np.diff(distance[order]) == 0.0
    if is_tie.any():  # rare, and sorting all by four keys takes ten times as long
        places = np.flatnonzero(np.append(is_tie, False) | np.append(False, is_tie))
        tied = order[places]
        by_all = np.lexsort((z[tied], phi[tied], r[tied], distance[tied]))
        order[places] = tied[by_all]
    return order


def in_input_order(
    components: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Labels of the points as they came, from the components of the sorted ones."""
    labels = np.empty_like(components)
    labels[order] = components
    return number_by_first_appearance(labels)


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
        Positions of the group's events; the groups cover all events, in order.
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
        A group with more points is computed alone, by all threads, because two large
        events at a time would need the memory of both.

    Yields
    ------
    list of (first, end)
        Ranges of groups, with about the same number of points each; at least one.
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


def checked_features(
    features: NDArray[np.float32], n_features: int
) -> NDArray[np.float32]:
    """Return the features as float32.

    Raises
    ------
    ValueError
        If they have another shape or a value that is not finite.
    """
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
