"""Where to cut: radius and filter cut that keep a wanted share of the true edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from exatrkx_pipeline.config import PipelineConfig
from exatrkx_pipeline.edge_filter import EdgeFilter
from exatrkx_pipeline.embedding import Embedding
from exatrkx_pipeline.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.training.events import TrainingEvent, true_edges
from exatrkx_pipeline.training.graphs import LabelledGraph

TARGET_PT_GEV = 1.0
"""Efficiencies are those of particles above this transverse momentum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCounts:
    """True and kept edges of one stage, summed over events.

    ``target`` counts true edges of particles above 1 GeV; the others count all edges.
    """

    true: int
    target: int
    kept: int
    kept_true: int
    kept_target: int

    def as_scores(self) -> dict[str, float]:
        """Efficiency, target efficiency and purity; 0 where nothing was there."""
        return {
            "efficiency": self.kept_true / max(self.true, 1),
            "efficiency_pt_above_1_gev": self.kept_target / max(self.target, 1),
            "purity": self.kept_true / max(self.kept, 1),
        }


@torch.no_grad()
def radius_for_efficiency(
    embedding: Embedding,
    events: Sequence[TrainingEvent],
    config: PipelineConfig,
    efficiency: float,
) -> float:
    """Smallest radius within which this share of the target edges lies."""
    distances = []
    for event in events:
        points = Cylindrical.of(
            torch.from_numpy(event.scaled(config.features)), config.features
        )
        embedded = embedding(node_inputs(points, config.embedding.node_inputs)).numpy()
        true = true_edges(event)
        target = true[:, event.pt_gev[true[0]] > TARGET_PT_GEV]
        distances.append(
            np.linalg.norm(embedded[target[0]] - embedded[target[1]], axis=1)
        )
    return float(np.quantile(np.concatenate(distances), efficiency))


def cut_for_efficiency(
    scores: Sequence[NDArray[np.float32]],
    targets: Sequence[NDArray[np.bool_]],
    efficiency: float,
) -> float:
    """Largest score cut that keeps this share of the target edges."""
    of_targets = np.concatenate([s[t] for s, t in zip(scores, targets, strict=True)])
    return float(np.quantile(of_targets, 1.0 - efficiency))


@torch.no_grad()
def filter_scores(
    edge_filter: EdgeFilter, graph: LabelledGraph, config: PipelineConfig
) -> NDArray[np.float32]:
    """Filter score of each edge of a graph, in [0, 1]."""
    logits = edge_filter(
        node_inputs(graph.points, config.filter.node_inputs),
        graph.edge_index,
        edge_inputs(graph.points, graph.edge_index, config.filter.edge_inputs),
    )
    scores: NDArray[np.float32] = torch.sigmoid(logits).numpy()
    return scores


def is_target(graph: LabelledGraph, event: TrainingEvent) -> NDArray[np.bool_]:
    """True edges of a graph that belong to particles above 1 GeV."""
    hard = event.pt_gev[graph.edge_index[0].numpy()] > TARGET_PT_GEV
    target: NDArray[np.bool_] = (graph.label.numpy() > 0) & hard
    return target


def count_edges(
    graphs: Sequence[LabelledGraph], events: Sequence[TrainingEvent]
) -> EdgeCounts:
    """Edges of graphs against the true edges of their events."""
    true = [true_edges(event) for event in events]
    return EdgeCounts(
        true=sum(t.shape[1] for t in true),
        target=sum(
            int((e.pt_gev[t[0]] > TARGET_PT_GEV).sum())
            for e, t in zip(events, true, strict=True)
        ),
        kept=sum(g.edge_index.shape[1] for g in graphs),
        kept_true=sum(int(g.label.sum()) for g in graphs),
        kept_target=sum(
            int(is_target(g, e).sum()) for g, e in zip(graphs, events, strict=True)
        ),
    )


def with_radius(config: PipelineConfig, r_val: float) -> PipelineConfig:
    """The configuration with another radius."""
    return replace(config, graph=replace(config.graph, r_val=r_val))


def with_filter_cut(config: PipelineConfig, filter_cut: float) -> PipelineConfig:
    """The configuration with another filter cut."""
    return replace(config, filter=replace(config.filter, filter_cut=filter_cut))
