"""The graph of a group of events: neighbours within the radius, in pieces.

The raw graph, several times larger than what passes the filter, is never whole. The
search runs where the embedding is: on the CPU, or on the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exatrkx_pipeline.graph.neighbours import (
    EDGES_PER_CHUNK,
    radius_graph_chunks,
    sorted_edges,
)

MAX_RADIUS_EDGES = 50_000_000
"""Most pairs within the radius: filtered in pieces, they take time, not memory. An
event of 269,000 points has 38 million if its weights were trained for sparser ones."""

MAX_EDGES = 10_000_000
"""Most edges after the filter: at 64 floats each, 2.6 GB of states in the GNN."""

PAIRS_PER_CHUNK = 1 << 26
"""Distances held at once on a device: 256 MB of float32."""

MARGIN = 1e-4
"""Relative margin beyond the radius within which float32 distances are checked in
float64."""


def neighbours_within_events(
    embedded: Tensor,
    splits: NDArray[np.int64],
    r_val: float,
    max_edges: int,
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
        n_edges = 0
        for chunk in radius_edge_chunks(embedded[start:stop], r_val):
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
        Offsets of the events' points.
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


def radius_edge_chunks(embedded: Tensor, r_val: float) -> Iterator[Tensor]:
    """The edges of `radius_graph`, in pieces, in any order.

    Parameters
    ----------
    embedded : Tensor, shape (n_space_points, dim), float32
        Coordinates, on any device; zero points give no piece.
    r_val : float
        Radius.

    Yields
    ------
    Tensor, shape (2, n_edges), int64
        On the same device, row > column.

    Raises
    ------
    ValueError
        If a coordinate is not finite.
    """
    if embedded.device.type == "cpu":
        for chunk in radius_graph_chunks(embedded.numpy(), r_val):
            yield torch.from_numpy(chunk)
    else:
        yield from brute_force_chunks(embedded, r_val)


def joined_chunks(
    chunks: Iterator[Tensor], n_edges: int = EDGES_PER_CHUNK
) -> Iterator[Tensor]:
    """The same edges in pieces of at least `n_edges`, except for the last one.

    The filter has an overhead per piece, which grows with the number of points.
    """
    held: list[Tensor] = []
    n_held = 0
    for chunk in chunks:
        held.append(chunk)
        n_held += chunk.shape[1]
        if n_held >= n_edges:
            yield held[0] if len(held) == 1 else torch.cat(held, dim=1)
            held, n_held = [], 0
    if held:
        yield held[0] if len(held) == 1 else torch.cat(held, dim=1)


@torch.inference_mode()
def brute_force_chunks(
    embedded: Tensor, r_val: float, pairs_per_chunk: int = PAIRS_PER_CHUNK
) -> Iterator[Tensor]:
    """The edges of `radius_graph` by comparing all points with each other, for GPUs.

    Distances in float32 choose candidates with a margin, float64 decides among them,
    so that the edges are those of the tree on the CPU, at the radius too.

    Raises
    ------
    ValueError
        If a coordinate is not finite.
    """
    if not bool(torch.isfinite(embedded).all()):
        raise ValueError("embedded space points must be finite")
    exact, start = embedded.double(), 0
    most_rows = math.isqrt(pairs_per_chunk)
    while start < len(embedded):
        # Outer points have more inner ones: later chunks have fewer rows.
        n_rows = max(1, pairs_per_chunk // (start + most_rows))
        rows, inner = embedded[start : start + n_rows], embedded[: start + n_rows]
        distance = torch.cdist(rows, inner, compute_mode="donot_use_mm_for_euclid_dist")
        near = torch.tril(distance <= r_val * (1 + MARGIN), diagonal=start - 1)
        row, col = near.nonzero(as_tuple=True)
        row = row + start
        kept = (exact[row] - exact[col]).square().sum(dim=1) <= r_val * r_val
        yield torch.stack((row[kept], col[kept]))
        start += n_rows
