"""What a run of the pipeline leaves behind: labels, edges after each stage, times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
"""What is counted: edges within the radius, and those of them above the cut."""


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

    def count(self, what: str, number: int) -> None:
        """Add edges to `what` of `EDGE_COUNTS`."""
        with self._lock:
            self.counts[what] += number


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
