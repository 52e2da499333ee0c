"""The graph as the GNN takes it: only points with edges, sorted for the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from exatrkx_pipeline.kernels.edge_loops import has_edge, sorted_by_row


@dataclass(frozen=True, slots=True)
class CompactGraph:
    """Points that have edges, sorted by azimuth, and the edges among them.

    A point without edges changes no other point, and after the filter most points of an
    event with pileup have none. Ends of an edge are close in azimuth, thus in memory.
    """

    nodes: Tensor  #: index of each point that stays, shape (n_nodes,), int64
    edge_index: Tensor  #: between those, sorted by row, shape (2, n_edges), int64
    order: Tensor  #: place of each edge among the given ones, shape (n_edges,), int64

    @classmethod
    def of(cls, edge_index: Tensor, phi: Tensor) -> Self:
        """Renumber edges, shape (2, n_edges), of points at `phi`, shape (n_points,)."""
        if phi.device.type == "cpu":
            return cls._compiled(edge_index, phi)
        is_end = torch.zeros(len(phi), dtype=torch.bool, device=phi.device)
        is_end[edge_index] = True
        nodes = is_end.nonzero().squeeze(1)
        nodes = nodes[torch.argsort(phi[nodes], stable=True)]
        number = torch.empty(len(phi), dtype=torch.int64, device=phi.device)
        number[nodes] = torch.arange(len(nodes), device=phi.device)
        renumbered = number[edge_index]
        order = torch.argsort(renumbered[0], stable=True)
        return cls(nodes, renumbered[:, order], order)

    @classmethod
    def _compiled(cls, edge_index: Tensor, phi: Tensor) -> Self:
        row, col = edge_index.contiguous().numpy()
        azimuth = phi.contiguous().numpy()
        nodes = np.flatnonzero(has_edge(row, col, len(azimuth)))
        nodes = nodes[np.argsort(azimuth[nodes], kind="stable")]
        number = np.empty(len(azimuth), np.int64)
        number[nodes] = np.arange(len(nodes))
        ends, order = sorted_by_row(row, col, number, len(nodes))
        return cls(*map(torch.from_numpy, (nodes, ends, order)))

    def as_given(self, values: Tensor) -> Tensor:
        """Values of the edges, shape (n_edges,), in the order they were given in."""
        given = torch.empty_like(values)
        given[self.order] = values
        return given
