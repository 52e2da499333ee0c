"""Graph construction where the embedding is: on the CPU, or on the device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from exatrkx_pipeline.graph.neighbours import EDGES_PER_CHUNK, radius_graph_chunks

PAIRS_PER_CHUNK = 1 << 26
"""Distances held at once on a device: 256 MB of float32."""

MARGIN = 1e-4
"""Relative; how far beyond the radius float32 distances are looked at again."""


def radius_edge_chunks(embedded: Tensor, r_val: float) -> Iterator[Tensor]:
    """The edges of `neighbours.radius_graph`, in pieces, in any order.

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
    """The same edges in pieces of at least `n_edges`, but for the last one.

    The filter's overhead is one per piece, and grows with the number of points.
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
    """The same by comparing each point with all inner ones: what a GPU does best.

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
