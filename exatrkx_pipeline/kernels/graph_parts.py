"""A graph shared out among threads, to the same bits however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.edge_ranges import Range, even_ranges, run_over
from exatrkx_pipeline.kernels.packed_layers import Floats


@dataclass(frozen=True, slots=True)
class GraphParts:
    """The graph for several threads: ranges of edges with all edges of their rows.

    A sum over a row's edges is then one thread's. Nodes that edges of several ranges
    lead to are summed after the edges' pass, in the same order.
    """

    edges: Sequence[Range]
    nodes: Sequence[Range]
    is_shared: NDArray[np.bool_]
    """Whether edges of several ranges lead to a node, shape (n_nodes,)."""

    shared: NDArray[np.int64]
    """The nodes of which this is so."""

    starts: NDArray[np.int64]
    """Where in `incoming` their edges begin, and its length."""

    incoming: NDArray[np.int64]
    """Edges that lead to them, node by node, in order."""

    @classmethod
    def of(cls, row: NDArray[np.int64], col: NDArray[np.int64], n_nodes: int) -> Self:
        """Parts for as many threads as torch uses; one if rows are not in order."""
        edges = even_ranges(len(row))
        none = np.empty(0, np.int64)
        is_shared = np.zeros(n_nodes, np.bool_)
        # Rows that are not in order have no such ranges.
        if len(edges) > 1 and not (row[1:] >= row[:-1]).all():
            edges = [(0, len(row))]
        if len(edges) == 1:
            return cls(edges, even_ranges(n_nodes), is_shared, none, none, none)
        cuts = [int(np.searchsorted(row, row[first])) for first, _ in edges]
        edges = list(zip(cuts, [*cuts[1:], len(row)], strict=True))
        n_ranges = np.zeros(n_nodes, np.int8)
        for first, end in edges:
            is_met = np.zeros(n_nodes, np.bool_)
            is_met[col[first:end]] = True
            n_ranges += is_met
        is_shared = n_ranges > 1
        incoming = np.flatnonzero(is_shared[col])
        incoming = incoming[np.argsort(col[incoming], kind="stable")]
        shared = np.flatnonzero(is_shared)
        starts = np.searchsorted(col[incoming], np.append(shared, n_nodes))
        return cls(edges, even_ranges(n_nodes), is_shared, shared, starts, incoming)

    def sum_shared(self, states: Floats, width: int, sums: Floats) -> None:
        """Incoming sums of the shared nodes."""
        from exatrkx_pipeline.kernels import message_kernels  # noqa: PLC0415

        if len(self.shared):
            run_over(
                even_ranges(len(self.shared)),
                lambda lo, hi: message_kernels.sum_shared(
                    lo, hi, self.shared, self.starts, self.incoming, states, width, sums
                ),
            )
