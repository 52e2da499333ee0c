"""Training of the whole chain: embedding, radius, filter, cut, GNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.embedding import embedding_loss
from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.graphs import (
    LabelledGraph,
    build_graph,
    edge_loss,
    graphs_ahead,
)
from exatrkx_pipeline.training.operating_point import (
    count_edges,
    cut_for_efficiency,
    filter_scores,
    is_target,
    radius_for_efficiency,
    with_filter_cut,
    with_radius,
)
from exatrkx_pipeline.training.recipe import TrainingRecipe
from exatrkx_pipeline.training.schedule import (
    LearningCurve,
    Progress,
    augmented_batches,
    train_stage,
)


@dataclass(frozen=True, slots=True)
class TrainedPipeline:
    """A pipeline with how it learned and how well it selects edges."""

    pipeline: Pipeline
    curves: tuple[LearningCurve, ...]
    edge_scores: dict[str, dict[str, float]]
    """Stage (``neighbours``, ``filter``) to efficiency and purity in validation."""


def train(
    events: Sequence[TrainingEvent], recipe: TrainingRecipe, progress: Progress
) -> TrainedPipeline:
    """Train all three networks, one after the other, each on what the last one keeps.

    Parameters
    ----------
    events : sequence of TrainingEvent
        The last `recipe.n_validation` of them are never trained on.
    recipe : TrainingRecipe
        Networks, schedules, seed.
    progress : Progress
        Called after every step.

    Raises
    ------
    ValueError
        If there are no more events than are kept for validation.
    FloatingPointError
        If a loss is not finite.
    """
    if len(events) <= recipe.n_validation:
        raise ValueError(
            f"need more than {recipe.n_validation} events (those are for validation), "
            f"got {len(events)}"
        )
    split = len(events) - recipe.n_validation
    training, validation = list(events[:split]), list(events[split:])
    torch.manual_seed(recipe.seed)
    pipeline = Pipeline.untrained(recipe.pipeline)

    first = _train_embedding(pipeline, training, recipe, progress)
    radius = radius_for_efficiency(
        pipeline.embedding, validation, pipeline.config, recipe.neighbour_efficiency
    )
    pipeline = replace(pipeline, config=with_radius(pipeline.config, radius))
    raw = [_graph(pipeline, event) for event in validation]

    second = _train_filter(pipeline, training, recipe, progress)
    scores = [filter_scores(pipeline.edge_filter, g, pipeline.config) for g in raw]
    targets = [is_target(g, e) for g, e in zip(raw, validation, strict=True)]
    cut = cut_for_efficiency(scores, targets, recipe.filter_efficiency)
    pipeline = replace(pipeline, config=with_filter_cut(pipeline.config, cut))
    kept = [_graph(pipeline, event, filtered=True) for event in validation]

    third = _train_gnn(pipeline, training, recipe, progress)
    edge_scores = {
        "neighbours": count_edges(raw, validation).as_scores(),
        "filter": count_edges(kept, validation).as_scores(),
    }
    return TrainedPipeline(pipeline, (first, second, third), edge_scores)


def _graph(
    pipeline: Pipeline, event: TrainingEvent, *, filtered: bool = False
) -> LabelledGraph:
    edge_filter = pipeline.edge_filter if filtered else None
    return build_graph(event, pipeline.config, pipeline.embedding, edge_filter)


def _train_embedding(
    pipeline: Pipeline,
    events: list[TrainingEvent],
    recipe: TrainingRecipe,
    progress: Progress,
) -> LearningCurve:
    batches = augmented_batches(
        events, recipe.augmentation, recipe.embedding, recipe.seed
    )
    rng = np.random.default_rng(recipe.seed)

    def loss_of() -> torch.Tensor:
        losses = [
            embedding_loss(pipeline.embedding, event, pipeline.config, rng)
            for event in next(batches)
        ]
        return torch.stack(losses).mean()

    return train_stage(
        "embedding", pipeline.embedding, loss_of, recipe.embedding, progress
    )


def _train_filter(
    pipeline: Pipeline,
    events: list[TrainingEvent],
    recipe: TrainingRecipe,
    progress: Progress,
) -> LearningCurve:
    config = pipeline.config.filter
    graphs = graphs_ahead(
        augmented_batches(events, recipe.augmentation, recipe.filter, recipe.seed + 1),
        lambda event: _graph(pipeline, event),
    )

    def loss_of() -> torch.Tensor:
        losses = [
            edge_loss(pipeline.edge_filter, g, config.node_inputs, config.edge_inputs)
            for g in next(graphs)
        ]
        return torch.stack(losses).mean()

    return train_stage("filter", pipeline.edge_filter, loss_of, recipe.filter, progress)


def _train_gnn(
    pipeline: Pipeline,
    events: list[TrainingEvent],
    recipe: TrainingRecipe,
    progress: Progress,
) -> LearningCurve:
    config = pipeline.config.gnn
    graphs = graphs_ahead(
        augmented_batches(events, recipe.augmentation, recipe.gnn, recipe.seed + 2),
        lambda event: _graph(pipeline, event, filtered=True),
    )

    def loss_of() -> torch.Tensor:
        losses = [
            edge_loss(pipeline.gnn, g, config.node_inputs, config.edge_inputs)
            for g in next(graphs)
        ]
        return torch.stack(losses).mean()

    return train_stage("gnn", pipeline.gnn, loss_of, recipe.gnn, progress)
