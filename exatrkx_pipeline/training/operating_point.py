"""The radius and filter cut that keep a wanted share of the true edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.stages.inputs import Cylindrical
from exatrkx_pipeline.training.events import TrainingEvent, true_edges
from exatrkx_pipeline.training.losses import LabelledGraph, build_graph
from exatrkx_pipeline.training.recipe import OperatingPoint, Targets

TARGET_PT_GEV = 1.0
"""Shares refer to the true edges of particles above this transverse momentum."""


def with_operating_point(
    pipeline: Pipeline, events: Sequence[TrainingEvent], point: OperatingPoint
) -> Pipeline:
    """Return the pipeline with the radius and the filter cut of an operating point.

    Parameters
    ----------
    pipeline : Pipeline
        Its embedding and filter are trained.
    events : sequence of TrainingEvent
        Events that it was not trained on, with at least one target edge.
    point : OperatingPoint
        Shares of the target edges to keep.
    """
    return with_cut_for(with_radius_for(pipeline, events, point), events, point)


def with_radius_for(
    pipeline: Pipeline, events: Sequence[TrainingEvent], point: OperatingPoint
) -> Pipeline:
    """Return the pipeline with the smallest radius that keeps `point.neighbours`."""
    config = pipeline.config
    distances = []
    for event in events:
        points = Cylindrical.of(
            torch.from_numpy(event.scaled(config.features)), config.features
        )
        embedded = pipeline.embed(points).numpy()
        true = true_edges(event)
        target = true[:, event.pt_gev[true[0]] > TARGET_PT_GEV]
        distances.append(
            np.linalg.norm(embedded[target[0]] - embedded[target[1]], axis=1)
        )
    r_val = float(np.quantile(np.concatenate(distances), point.neighbours))
    graph = replace(config.graph, r_val=r_val)
    return replace(pipeline, config=replace(config, graph=graph))


def with_cut_for(
    pipeline: Pipeline, events: Sequence[TrainingEvent], point: OperatingPoint
) -> Pipeline:
    """Return the pipeline with the largest filter cut that keeps `point.filter`.

    The share is of the target edges within the pipeline's radius.
    """
    config = pipeline.config
    of_targets = []
    for event in events:  # one graph at a time: they are large
        graph = build_graph(event, pipeline, Targets())
        logits = pipeline.filter_logits(graph.points, graph.edge_index)
        scores = torch.sigmoid(logits).numpy()
        of_targets.append(scores[_is_target(graph, event)])
    cut = float(np.quantile(np.concatenate(of_targets), 1.0 - point.filter))
    return replace(
        pipeline, config=replace(config, filter=replace(config.filter, filter_cut=cut))
    )


def _is_target(graph: LabelledGraph, event: TrainingEvent) -> NDArray[np.bool_]:
    hard = event.pt_gev[graph.edge_index[0].numpy()] > TARGET_PT_GEV
    target: NDArray[np.bool_] = (graph.label.numpy() > 0) & hard
    return target
