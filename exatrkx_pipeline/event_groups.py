"""Small events side by side in one graph, so that the networks see long arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

POINTS_TOGETHER = 4_000
"""Points of a group: more would fall out of the cache, and gain nothing."""


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
