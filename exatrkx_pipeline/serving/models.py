"""The served models: the whole pipeline in one model, and its six steps.

The steps have the tensor names of the paper's ensemble
(``exatrkx-service:ensemble_backend/model_repos/models/*/config.pbtxt``). One input is
added: `wcc` takes FEATURES too. The original counts the space points by the largest
index in its edges, so it gives no label to points after the last edge.

Between the steps an event's points are in the order of the input, and edges join a
higher index to a lower one, as in the paper's `frnn`. Each step sorts the points as the
whole pipeline does before it computes, so the labels are the same to the last point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline.config import (
    FeatureConfig,
    RefinementConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.graph.graph_construction import (
    joined_edges,
    neighbours_within_events,
)
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.serving.parameters import limit
from exatrkx_pipeline.stages.clock import StageClock
from exatrkx_pipeline.stages.event_groups import in_input_order, outward_order
from exatrkx_pipeline.stages.inputs import Cylindrical
from exatrkx_pipeline.stages.network_stages import apply_filter
from exatrkx_pipeline.stages.track_candidates import track_candidates

Tensors = Mapping[str, NDArray[Any]]
Function = Callable[[Tensors], dict[str, NDArray[Any]]]
TensorSpec = tuple[str, str, tuple[int, ...]]
"""Name, KServe datatype, shape with -1 for a free dimension."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A function of named tensors, and how a server declares it.

    ``max_batch_size`` is always 0: the first dimension is space points or edges.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, str]
    """Feature names and scales, cuts, weights id: a client reads them."""
    function: Function
    """Raises `ValueError` if the tensors are not what the model can work on."""

    for_denser: Function | None = None
    """The same by the pipeline for denser events alone, if there is one: it has loops
    of its own to compile."""


FEATURES: TensorSpec = ("FEATURES", "FP32", (-1, 3))
ROW_SPLITS: TensorSpec = ("ROW_SPLITS", "INT64", (-1,))
LABELS: TensorSpec = ("LABELS", "INT64", (-1,))


def exatrkx(
    pipeline: Pipeline, parameters: Mapping[str, str], clock: StageClock | None
) -> ServedModel:
    """Return the whole pipeline for one event."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        return {"LABELS": pipeline.labels(inputs["FEATURES"], clock)}

    denser = None
    if pipeline.denser is not None:
        denser = exatrkx(pipeline.denser.pipeline, parameters, clock).function
    return ServedModel(
        "exatrkx",
        (FEATURES,),
        (LABELS,),
        dict(parameters),
        function,
        denser,
    )


def exatrkx_batch(
    pipeline: Pipeline, parameters: Mapping[str, str], clock: StageClock | None
) -> ServedModel:
    """Return the whole pipeline for several events in one tensor."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        events = split_rows(inputs["FEATURES"], inputs["ROW_SPLITS"])
        labels = pipeline.labels_of(events, clock)
        empty = np.empty(0, dtype=np.int64)
        return {"LABELS": np.concatenate(labels) if labels else empty}

    denser = None
    if pipeline.denser is not None:
        denser = exatrkx_batch(pipeline.denser.pipeline, parameters, clock).function
    return ServedModel(
        "exatrkx_batch",
        (FEATURES, ROW_SPLITS),
        (LABELS,),
        dict(parameters),
        function,
        denser,
    )


def split_rows(
    features: NDArray[np.float32], row_splits: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    """Split a joined tensor into its events, as views.

    Parameters
    ----------
    features : ndarray, shape (n_space_points, 3), float32
        Events one after the other.
    row_splits : ndarray, shape (n_events + 1,), int64
        Offsets: event `i` is ``features[row_splits[i]:row_splits[i + 1]]``.

    Raises
    ------
    ValueError
        If the offsets do not start at 0, descend, or do not end at the last row.
    """
    if (
        not len(row_splits)
        or row_splits[0] != 0
        or row_splits[-1] != len(features)
        or (np.diff(row_splits) < 0).any()
    ):
        raise ValueError(
            f"ROW_SPLITS must ascend from 0 to the {len(features)} rows of FEATURES, "
            f"got {np.array2string(row_splits, threshold=6)}"
        )
    return np.split(features, row_splits[1:-1])


Edges = NDArray[np.int64]
EDGES = ("INT64", (2, -1))


def embed(pipeline: Pipeline, parameters: Mapping[str, str]) -> ServedModel:
    """Return the step that maps space points into the embedding space."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        order, points = pipeline.ordered(inputs["INPUT__0"])
        pipeline.require_known(inputs["INPUT__0"])
        embedded = np.empty((len(order), dim), dtype=np.float32)
        embedded[order] = pipeline.embed(points).cpu().numpy()
        return {"OUTPUT__0": embedded}

    dim = pipeline.config.embedding.dim
    return ServedModel(
        "embed",
        (("INPUT__0", "FP32", (-1, 3)),),
        (("OUTPUT__0", "FP32", (-1, dim)),),
        dict(parameters),
        function,
    )


def frnn(
    r_val: float, dim: int, device: str, parameters: Mapping[str, str]
) -> ServedModel:
    """Return the neighbour search: all pairs within `r_val`, one edge per pair."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        embedded = torch.from_numpy(inputs["INPUT0"]).to(device)
        event = np.array([0, len(embedded)])
        chunks = neighbours_within_events(embedded, event, r_val, max_edges)
        return {"OUTPUT0": joined_edges(list(chunks), len(embedded)).cpu().numpy()}

    max_edges = limit(parameters, "max_radius_edges")

    return ServedModel(
        "frnn",
        (("INPUT0", "FP32", (-1, dim)),),
        (("OUTPUT0", *EDGES),),
        dict(parameters),
        function,
    )


def edge_filter(pipeline: Pipeline, parameters: Mapping[str, str]) -> ServedModel:
    """Return the edge filter: a logit per edge, in the order of the edges given."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        logits = _edge_logits(pipeline, pipeline.filter_logits, inputs)
        return {"OUTPUT__0": logits[:, np.newaxis]}

    return ServedModel(
        "filter",
        (("INPUT__0", "FP32", (-1, 3)), ("INPUT__1", *EDGES)),
        (("OUTPUT__0", "FP32", (-1, 1)),),
        dict(parameters),
        function,
    )


def applyfilter(filter_cut: float, parameters: Mapping[str, str]) -> ServedModel:
    """Return the step that keeps the edges whose score is strictly above the cut."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        edges, logits = inputs["EDGE_LIST"], inputs["FILTER_SCORES"]
        if len(logits) != edges.shape[1]:
            raise ValueError(
                f"FILTER_SCORES: expected one for each of {edges.shape[1]} edges, "
                f"got {len(logits)}"
            )
        kept = edges[
            :, apply_filter(torch.from_numpy(logits[:, 0]), filter_cut).numpy()
        ]
        if kept.shape[1] > max_edges:
            raise ValueError(
                f"event is too dense for these weights: {kept.shape[1]} edges pass the "
                f"filter, {max_edges} are allowed; use weights that were trained for "
                "such events, or raise parameter max_edges"
            )
        return {"EDGE_LIST_AFTER_FILTER": kept}

    max_edges = limit(parameters, "max_edges")

    return ServedModel(
        "applyfilter",
        (("FILTER_SCORES", "FP32", (-1, 1)), ("EDGE_LIST", *EDGES)),
        (("EDGE_LIST_AFTER_FILTER", *EDGES),),
        dict(parameters),
        function,
    )


def gnn(pipeline: Pipeline, parameters: Mapping[str, str]) -> ServedModel:
    """Return the GNN: a logit per edge, in the order of the edges given."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        return {"OUTPUT__0": _edge_logits(pipeline, pipeline.gnn_logits, inputs)}

    return ServedModel(
        "gnn",
        (("INPUT__0", "FP32", (-1, 3)), ("INPUT__1", *EDGES)),
        (("OUTPUT__0", "FP32", (-1,)),),
        dict(parameters),
        function,
    )


def wcc(
    features: FeatureConfig,
    track_building: TrackBuildingConfig,
    refinement: RefinementConfig | None,
    parameters: Mapping[str, str],
) -> ServedModel:
    """Return the step that turns scored edges into a label for every space point."""

    def function(inputs: Tensors) -> dict[str, NDArray[Any]]:
        order = outward_order(inputs["FEATURES"], features)
        edges, place = outward_edges(inputs["INPUT0"], order)
        logits = torch.from_numpy(inputs["INPUT1"][place])
        scaled = torch.from_numpy(inputs["FEATURES"][order])
        components = track_candidates(
            edges,
            torch.sigmoid(logits).numpy(),
            Cylindrical.of(scaled, features),
            np.array([0, len(order)]),
            building=track_building,
            refinement=refinement,
        )
        return {"OUTPUT0": in_input_order(components, order)}

    return ServedModel(
        "wcc",
        (("INPUT0", *EDGES), ("INPUT1", "FP32", (-1,)), ("FEATURES", "FP32", (-1, 3))),
        (("OUTPUT0", "INT64", (-1,)),),
        dict(parameters),
        function,
    )


def outward_edges(
    edge_index: Edges, order: NDArray[np.int64]
) -> tuple[Edges, NDArray[np.int64]]:
    """Translate edges between points of the input to points sorted outward.

    Parameters
    ----------
    edge_index : ndarray, shape (2, n_edges), int64
        Indices of points of the input; the order of the two ends does not matter.
    order : ndarray, shape (n_space_points,), int64
        The input row of each sorted point, see `outward_order`.

    Returns
    -------
    edges : ndarray, shape (2, n_edges), int64
        Row > column, sorted by row, then column.
    place : ndarray, shape (n_edges,), int64
        Position of each of them in `edge_index`.

    Raises
    ------
    ValueError
        If an edge names a point that is not there.
    """
    if edge_index.size and not 0 <= edge_index.min() <= edge_index.max() < len(order):
        raise ValueError(
            f"edges: expected indices of the {len(order)} space points, got "
            f"{edge_index.min()} to {edge_index.max()}"
        )
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    ends = rank[edge_index]
    row, col = ends.max(axis=0), ends.min(axis=0)
    place = np.lexsort((col, row))
    return np.stack((row[place], col[place])), place


def _edge_logits(
    pipeline: Pipeline,
    logits_of: Callable[..., torch.Tensor],
    inputs: Tensors,
) -> NDArray[np.float32]:
    order, points = pipeline.ordered(inputs["INPUT__0"])
    edges, place = outward_edges(inputs["INPUT__1"], order)
    logits = np.empty(len(place), dtype=np.float32)
    on_device = torch.from_numpy(edges).to(pipeline.device)
    logits[place] = logits_of(points, on_device).cpu().numpy()
    return logits
