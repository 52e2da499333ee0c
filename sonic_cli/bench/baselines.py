"""What the pipeline's stages are compared with: the ways of the paper, same weights."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.jit._trace import TracerWarning

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.neighbours import radius_graph

__all__ = ["faiss_flat_graph", "graph_times", "has_faiss", "scripted_times"]

T = TypeVar("T")

KNN = 500  # neighbours that the paper's CPU pipeline asks faiss for


def has_faiss() -> bool:
    """Whether the neighbour search of the paper's CPU pipeline is installed."""
    return find_spec("faiss") is not None


def faiss_flat_graph(
    embedded: NDArray[np.float32], r_val: float, knn: int = KNN
) -> NDArray[np.int64]:
    """Edges as ``exatrkx-service:exatrkx_cpu`` finds them, one per pair.

    The `knn` nearest of each point by comparing all with all, then the radius. In one
    thread, as torch's other operations here.

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


def scripted_times(
    pipeline: Pipeline, points: Cylindrical, stage: str, edges: Tensor
) -> dict[str, float]:
    """A network of the pipeline against itself as TorchScript, run eagerly.

    Parameters
    ----------
    pipeline : Pipeline
        With networks that are not TorchScript already.
    points : Cylindrical
        Sorted points of an event.
    stage : {"filter", "gnn"}
        Which network.
    edges : Tensor, shape (2, n_edges), int64
        Its input.

    Returns
    -------
    dict
        ``ours_s`` and ``scripted_s``; ``difference``: of logits, relative to the
        largest one.
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
        # Of the number of ends and of blocks, which do not change.
        warnings.filterwarnings("ignore", category=TracerWarning)
        # Deprecated, and what the paper's service runs.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        trace: Callable[..., torch.jit.ScriptModule] = torch.jit.trace
        script = trace(network, few, check_trace=False)
    with torch.no_grad():
        script(*few)
        logits_of(points, edges[:, :100])
        scripted_s, expected = _timed(lambda: script(*inputs))
        ours_s, found = _timed(lambda: logits_of(points, edges))
    scale = float(expected.abs().max()) if len(expected) else 1.0
    difference = float((found - expected).abs().max()) if len(expected) else 0.0
    return {
        "ours_s": ours_s,
        "scripted_s": scripted_s,
        "difference": difference / scale,
    }


def graph_times(embedded: NDArray[np.float32], r_val: float) -> dict[str, float]:
    """Our neighbour search against `faiss_flat_graph`.

    Returns
    -------
    dict
        ``ours_s``, ``faiss_s``; ``missing_edges``: of those within the radius, beyond
        the nearest 500 or by rounding of faiss's distances.
    """
    radius_graph(embedded[:100], r_val)
    ours_s, ours = _timed(lambda: radius_graph(embedded, r_val))
    faiss_s, others = _timed(lambda: faiss_flat_graph(embedded, r_val))
    return {
        "ours_s": ours_s,
        "faiss_s": faiss_s,
        "missing_edges": float(ours.shape[1] - others.shape[1]),
    }


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
