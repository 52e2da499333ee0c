"""Rows and edges shared out among threads, to the same bits however many there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

LEAST_ROWS = 1_000
"""Rows for which a thread is called: some 0.2 ms of work."""

Range = tuple[int, int]


def even_ranges(n_rows: int) -> list[Range]:
    """Ranges that are all rows, for as many threads as torch uses; one at least."""
    n_ranges = max(min(torch.get_num_threads(), n_rows // LEAST_ROWS), 1)
    cuts = [n_rows * k // n_ranges for k in range(n_ranges + 1)]
    return list(pairwise(cuts))


def run_over(ranges: Sequence[Range], work: Callable[[int, int], None]) -> None:
    """Call ``work(first, end)`` for every range: the first here, others in threads.

    What no thread has begun when the first is done is done here too: as many calls at a
    time as processors are busy wait for nobody.
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
