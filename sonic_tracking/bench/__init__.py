"""The measurements of `sonic bench`, and parts of them for other benchmarks."""

from sonic_tracking.bench.baselines import (
    faiss_flat_graph,
    graph_times,
    has_faiss,
    scripted_times,
    tree_graph,
)
from sonic_tracking.bench.events import overlaid, read_features

__all__ = [
    "faiss_flat_graph",
    "graph_times",
    "has_faiss",
    "overlaid",
    "read_features",
    "scripted_times",
    "tree_graph",
]
