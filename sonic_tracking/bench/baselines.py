"""Baselines of the pipeline's stages: the paper's methods with the same weights."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.jit._trace import TracerWarning

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.graph import radius_graph
from exatrkx_pipeline.stages import Cylindrical, edge_inputs, node_inputs

__all__ = [
    "GRAPH_SEARCHES",
    "faiss_flat_graph",
    "graph_times",
    "has_faiss",
    "scripted_times",
    "tree_graph",
]

T = TypeVar("T")

GraphSearch = Callable[[NDArray[np.float32], float], NDArray[np.int64]]
"""Embedded points and a radius to edges, sorted by row, then column."""

KNN = 500  # neighbours that the paper's CPU pipeline asks faiss for


def has_faiss() -> bool:
    """Return whether faiss, which the paper's CPU pipeline uses, is installed."""
    return find_spec("faiss") is not None


def faiss_flat_graph(
    embedded: NDArray[np.float32], r_val: float, knn: int = KNN
) -> NDArray[np.int64]:
    """Return the edges as ``exatrkx-service:exatrkx_cpu`` finds them, one per pair.

    The `knn` nearest points of each, by comparing all with all, within the radius. Uses
    as many threads as torch.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
        Row > column, sorted by row, then column.
    """
    import faiss  # noqa: PLC0415 - optional

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatL2(embedded.shape[1])
    index.add(embedded)
    squared, near = index.search(embedded, min(knn, len(embedded)))
    row, place = np.nonzero(squared <= r_val * r_val)
    col = near[row, place]
    row, col = row[row > col], col[row > col]
    order = np.lexsort((col, row))
    return np.stack((row[order], col[order]))


def tree_graph(embedded: NDArray[np.float32], r_val: float) -> NDArray[np.int64]:
    """Return the edges by scipy's k-d tree, the method of ACTS' ``buildEdges.cpp``.

    Returns
    -------
    ndarray, shape (2, n_edges), int64
        Row > column, sorted by row, then column.
    """
    points = embedded.astype(np.float64)
    pairs = cKDTree(points).query_pairs(r_val, output_type="ndarray")
    col, row = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].T
    return np.stack((row, col))


GRAPH_SEARCHES: dict[str, GraphSearch] = {
    f"faiss IndexFlatL2, k = {KNN}": faiss_flat_graph,
    "scipy cKDTree": tree_graph,
}
"""Other searches for edges, by name; faiss is optional: see `has_faiss`."""


def scripted_times(
    pipeline: Pipeline, points: Cylindrical, stage: str, edges: Tensor
) -> dict[str, float]:
    """Time a network of the pipeline, and the same as TorchScript, run eagerly.

    Parameters
    ----------
    pipeline : Pipeline
        Its networks must not be TorchScript.
    points : Cylindrical
        Sorted points of an event.
    stage : {"filter", "gnn"}
        Which network.
    edges : Tensor, shape (2, n_edges), int64
        Its input.

    Returns
    -------
    dict
        ``ours_s``, ``scripted_s``, and ``difference``, the largest difference of
        logits relative to the largest logit.
    """
    is_gnn = stage == "gnn"
    config = pipeline.config.gnn if is_gnn else pipeline.config.filter
    network = pipeline.gnn if is_gnn else pipeline.edge_filter
    logits_of = pipeline.gnn_logits if is_gnn else pipeline.filter_logits
    inputs = (
        node_inputs(points, config.node_inputs),
        edges,
        edge_inputs(points, edges, config.edge_inputs),
    )
    # Clones: tensors made in inference mode cannot take part in a trace.
    few = (inputs[0].clone(), inputs[1][:, :100].clone(), inputs[2][:100].clone())
    # Traced where gradients are possible: torch's own operations, edges as a whole.
    with torch.enable_grad(), warnings.catch_warnings():
        # About the number of ends and of blocks, which do not change.
        warnings.filterwarnings("ignore", category=TracerWarning)
        # Deprecated, but the paper's service runs it.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        trace: Callable[..., torch.jit.ScriptModule] = torch.jit.trace
        script = trace(network, few, check_trace=False)
    with torch.no_grad():
        script(*few)
        logits_of(points, edges[:, :100])
        (ours_s, found), (scripted_s, expected) = _alternately(
            lambda: logits_of(points, edges), lambda: script(*inputs)
        )
    scale = float(expected.abs().max()) if len(expected) else 1.0
    difference = float((found - expected).abs().max()) if len(expected) else 0.0
    return {
        "ours_s": ours_s,
        "scripted_s": scripted_s,
        "difference": difference / scale,
    }


def graph_times(
    embedded: NDArray[np.float32], r_val: float, other: GraphSearch
) -> dict[str, float]:
    """Time our neighbour search and another one.

    Returns
    -------
    dict
        ``ours_s``, ``other_s``, and ``missing_edges`` of the other search.
    """
    radius_graph(embedded[:100], r_val)
    (ours_s, ours), (other_s, others) = _alternately(
        lambda: radius_graph(embedded, r_val), lambda: other(embedded, r_val)
    )
    return {
        "ours_s": ours_s,
        "other_s": other_s,
        "missing_edges": float(ours.shape[1] - others.shape[1]),
    }


def _alternately(
    ours: Callable[[], T], other: Callable[[], T]
) -> tuple[tuple[float, T], tuple[float, T]]:
    """Return seconds and result of both, the better of two tries in turn."""
    tries = [(_timed(ours), _timed(other)) for _ in range(2)]
    best = min((each for each, _ in tries), key=lambda each: each[0])
    best_other = min((each for _, each in tries), key=lambda each: each[0])
    return best, best_other


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
