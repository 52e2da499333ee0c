"""Training of the whole chain: embedding, radius, filter, cut, GNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.embedding import embedding_loss
from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.graphs import build_graph, edge_loss, graphs_ahead
from exatrkx_pipeline.training.operating_point import (
    with_cut_for,
    with_operating_point,
    with_radius_for,
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
    """A pipeline, at its operating point in use, with how it learned."""

    pipeline: Pipeline
    curves: tuple[LearningCurve, ...]


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
    pipeline = with_radius_for(pipeline, validation, recipe.training_point)
    second = _train_filter(pipeline, training, recipe, progress)
    pipeline = with_cut_for(pipeline, validation, recipe.training_point)
    third = _train_gnn(pipeline, training, recipe, progress)
    pipeline = with_operating_point(pipeline, validation, recipe.serving_point)
    return TrainedPipeline(pipeline, (first, second, third))


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
            embedding_loss(
                pipeline.embedding, event, pipeline.config, recipe.targets, rng
            )
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
    rng = np.random.default_rng(recipe.seed + 1)
    graphs = graphs_ahead(
        augmented_batches(events, recipe.augmentation, recipe.filter, recipe.seed + 1),
        lambda event: build_graph(
            event, pipeline.config, pipeline.embedding, recipe.targets
        ).thinned(recipe.filter.max_edges, rng),
    )

    def loss_of() -> torch.Tensor:
        losses = [
            edge_loss(
                pipeline.edge_filter,
                g,
                config.node_inputs,
                config.edge_inputs,
                true_weight=recipe.filter.true_weight,
            )
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
    rng = np.random.default_rng(recipe.seed + 2)
    graphs = graphs_ahead(
        augmented_batches(events, recipe.augmentation, recipe.gnn, recipe.seed + 2),
        lambda event: build_graph(
            event,
            pipeline.config,
            pipeline.embedding,
            recipe.targets,
            pipeline.edge_filter,
        ).thinned(recipe.gnn.max_edges, rng),
    )

    def loss_of() -> torch.Tensor:
        losses = [
            edge_loss(
                pipeline.gnn,
                g,
                config.node_inputs,
                config.edge_inputs,
                true_weight=recipe.gnn.true_weight,
            )
            for g in next(graphs)
        ]
        return torch.stack(losses).mean()

    return train_stage("gnn", pipeline.gnn, loss_of, recipe.gnn, progress)
