"""The graph of a group of events: neighbours within the radius, chunk by chunk.

The raw graph, several times larger than what passes the filter, is never whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exatrkx_pipeline.graph.neighbours import sorted_edges
from exatrkx_pipeline.graph.radius_edges import radius_edge_chunks
from exatrkx_pipeline.stages import StageClock

MAX_RADIUS_EDGES = 50_000_000
"""Pairs within the radius: filtered in pieces, they take time, not memory. An event of
269,000 points has 38 million where its weights were trained for sparser ones."""

MAX_EDGES = 10_000_000
"""Edges after the filter: at 64 floats each, 2.6 GB of states in the GNN."""


def neighbours_within_events(
    embedded: Tensor,
    splits: NDArray[np.int64],
    r_val: float,
    max_edges: int,
    clock: StageClock,
) -> Iterator[Tensor]:
    """Edges of each event, in pieces, between points of the whole group.

    Parameters
    ----------
    embedded : Tensor, shape (n_space_points, dim), float32
        Coordinates of the points of all events, on any device.
    splits : ndarray, shape (n_events + 1,), int64
        Offsets: the points of event `i` are those from ``splits[i]`` to
        ``splits[i + 1]``.
    r_val : float
        Radius.
    max_edges : int
        Most edges of an event.
    clock : StageClock
        Receives the time as ``neighbours``.

    Yields
    ------
    Tensor, shape (2, n_edges), int64
        On the same device, row > column, in any order.

    Raises
    ------
    ValueError
        If a coordinate is not finite, or an event has more edges.
    """
    for start, stop in pairwise(splits.tolist()):
        chunks = radius_edge_chunks(embedded[start:stop], r_val)
        n_edges = 0
        while True:
            with clock.measure("neighbours"):
                chunk = next(chunks, None)
            if chunk is None:
                break
            n_edges += chunk.shape[1]
            if n_edges > max_edges:
                raise ValueError(
                    f"event of {stop - start} space points is too dense for these "
                    f"weights: more than {max_edges} pairs are within the radius "
                    f"{r_val:.4g}; use weights that were trained for such events, or "
                    "raise max_radius_edges"
                )
            yield chunk + start if start else chunk


def require_few_edges(
    edges: Iterable[Tensor], splits: NDArray[np.int64], max_edges: int
) -> None:
    """Refuse events that have more than `max_edges` of the edges above the cut.

    Parameters
    ----------
    edges : iterable of Tensor, shape (2, n_edges), int64
        Between points of the whole group.
    splits : ndarray, shape (n_events + 1,), int64
        As there.
    max_edges : int
        Most edges of an event.

    Raises
    ------
    ValueError
        If an event has more.
    """
    chunks = list(edges)
    if sum(chunk.shape[1] for chunk in chunks) <= max_edges:
        return
    of_event = np.zeros(len(splits) - 1, dtype=np.int64)
    for chunk in chunks:
        event = np.searchsorted(splits, chunk[0].cpu().numpy(), side="right") - 1
        of_event += np.bincount(event, minlength=len(of_event))
    for n_edges, n_points in zip(of_event, np.diff(splits), strict=True):
        if n_edges > max_edges:
            raise ValueError(
                f"event of {n_points} space points is too dense for these weights: "
                f"more than {max_edges} edges pass the filter; use weights that were "
                "trained for such events, or raise max_edges"
            )


def joined_edges(chunks: list[Tensor], n_points: int) -> Tensor:
    """All chunks in one, shape (2, n_edges), int64, sorted by row, then column.

    No chunks give no edges, on the CPU.
    """
    if not chunks:
        return torch.empty((2, 0), dtype=torch.int64)
    edges = chunks[0] if len(chunks) == 1 else torch.cat(chunks, dim=1)
    if edges.device.type != "cpu":  # there, chunks are sorted as they come
        return edges
    return torch.from_numpy(sorted_edges(edges.numpy(), n_points))
