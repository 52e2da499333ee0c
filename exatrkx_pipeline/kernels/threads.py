"""Rows, edges and graphs shared out among threads, to the same bits for any number."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.kernels.layout import Indices, SharedNodes

LEAST_ROWS = 1_000
"""Rows that are worth a thread: some 0.2 ms of work."""

Range = tuple[int, int]


def even_ranges(n_rows: int, n_threads: int) -> list[Range]:
    """Ranges that cover all rows, at most one a thread and at least one."""
    n_ranges = max(min(n_threads, n_rows // LEAST_ROWS), 1)
    cuts = [n_rows * k // n_ranges for k in range(n_ranges + 1)]
    return list(pairwise(cuts))


def run_over(ranges: Sequence[Range], work: Callable[[int, int], None]) -> None:
    """Call ``work(first, end)`` for every range: the first here, others in threads.

    Ranges that no thread has started when the first is done are done here too, so that
    callers in more threads than there are processors do not wait for each other.
    """
    first, *others = ranges
    if not others:
        work(*first)
        return
    pool = _pool(os.getpid())
    futures: list[Future[None]] = [pool.submit(work, *each) for each in others]
    work(*first)
    for each, future in zip(others, futures, strict=True):
        if future.cancel():
            work(*each)
        else:
            future.result()


# By process: threads do not outlive a fork.
@cache
def _pool(process: int) -> ThreadPoolExecutor:
    del process
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="exatrkx-rows")


@dataclass(frozen=True, slots=True)
class GraphRanges:
    """A graph cut into ranges for several threads.

    A range of edges has all edges of its rows, so one thread makes the sum over a row's
    edges. Nodes that edges of several ranges lead to are summed after the pass over the
    edges, in the same order.
    """

    edges: Sequence[Range]
    nodes: Sequence[Range]
    shared_nodes: Sequence[Range]  #: of `shared`; empty if there are none
    is_shared: NDArray[np.bool_]  #: whether a node is in `shared`, shape (n_nodes,)
    shared: SharedNodes

    @classmethod
    def of(cls, row: Indices, col: Indices, n_nodes: int, n_threads: int) -> Self:
        """At most one range a thread; a single one if the rows are not in order.

        Parameters
        ----------
        row, col : ndarray, shape (n_edges,), int64
            Ends of each edge.
        n_nodes : int
        n_threads : int
        """
        edges = even_ranges(len(row), n_threads)
        nodes = even_ranges(n_nodes, n_threads)
        if len(edges) > 1 and not (row[1:] >= row[:-1]).all():
            edges = [(0, len(row))]
        if len(edges) == 1:
            none = np.empty(0, np.int64)
            is_shared = np.zeros(n_nodes, np.bool_)
            return cls(edges, nodes, [], is_shared, SharedNodes(none, none, none))
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
        shared_ranges = even_ranges(len(shared), n_threads) if len(shared) else []
        return cls(
            edges,
            nodes,
            shared_ranges,
            is_shared,
            SharedNodes(shared, starts, incoming),
        )
