"""Results of a run of the pipeline: labels, edges after each stage, times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

STAGES = (
    "embedding",
    "neighbours",
    "filter",
    "gnn",
    "track_building",
)
"""Names of the stages, in order: keys of every per-stage table."""

EDGE_COUNTS = ("radius_edges", "filtered_edges")
"""Names of the counts: edges within the radius, and those of them above the cut."""

T = TypeVar("T")
_END = object()


@dataclass(slots=True)
class StageClock:
    """Seconds spent in each stage, summed over events and over threads."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(STAGES, 0.0)
    )
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(EDGE_COUNTS, 0)
    )
    """Edges seen, by `EDGE_COUNTS`, summed likewise."""

    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of the block to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            with self._lock:
                self.seconds[stage] += elapsed

    def measured(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time until each of them is there is added to `stage`."""
        iterator = iter(items)
        while True:
            with self.measure(stage):
                item = next(iterator, _END)
            if item is _END:
                return
            yield cast(T, item)

    def count(self, name: str, number: int) -> None:
        """Add a number of edges to `name` of `EDGE_COUNTS`."""
        with self._lock:
            self.counts[name] += number


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResults:
    """One event after every stage. All indices are those of the input's points."""

    labels: NDArray[np.int64]
    """Component of each space point, shape (n_space_points,)."""

    radius_edges: NDArray[np.int64]
    """Fixed-radius neighbours, shape (2, n_raw); the first row is the outer point."""

    filtered_edges: NDArray[np.int64]
    """Edges above the filter's cut, shape (2, n_filtered)."""

    edge_scores: NDArray[np.float32]
    """GNN scores of the filtered edges, shape (n_filtered,), in [0, 1]."""

    seconds: dict[str, float]
    """Time of each stage of `STAGES`, in seconds."""
