"""Edges in blocks: bounds the memory of a network over millions of edges."""

from __future__ import annotations

import torch
from torch import Tensor

Ends = tuple[Tensor, Tensor]
"""Row and column of each edge of a block, both of shape (n_edges,), int64."""

EDGES_PER_BLOCK = 4_096
"""Times 64 floats this is 1 MB: what a block's layers hand on stays in the cache."""


def edge_blocks(edges: Tensor) -> tuple[Tensor, ...]:
    """Views of `edges` along its first dimension; the whole where gradients are needed.

    Splitting changes no value that is kept: every edge is computed from itself and its
    two nodes, and sums over edges run in the same order.
    """
    if torch.is_grad_enabled() or len(edges) <= EDGES_PER_BLOCK:
        return (edges,)
    return torch.split(edges, EDGES_PER_BLOCK)
