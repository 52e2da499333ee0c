"""The loss of each of the three stages, step by step and on validation events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import FilterConfig, GnnConfig, TorchScriptConfig
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.events import Purpose, TrainingEvent, step_rng, wedge
from exatrkx_pipeline.training.losses import (
    LabelledGraph,
    build_graph,
    edge_loss,
    embedding_loss,
    graphs_ahead,
)
from exatrkx_pipeline.training.recipe import StageSchedule, TrainingRecipe
from exatrkx_pipeline.training.samples import TrainingSample, augmented_batches

VALIDATION_EVENTS = 4
"""Largest number of events in the validation loss, which is computed twenty times a
stage."""


@dataclass(frozen=True, slots=True)
class StageTask:
    """A network to train, and its losses."""

    network: nn.Module
    schedule: StageSchedule

    losses_from: Callable[[int], Iterator[Tensor]]
    """Iterator over the losses, from this step on."""

    validation_loss: Callable[[], float] | None
    """Loss on validation events; None if there are none."""


def stage_task(
    stage: str, pipeline: Pipeline, sample: TrainingSample, recipe: TrainingRecipe
) -> StageTask:
    """Return the task of a stage; its graphs come from the stages before it.

    Raises
    ------
    PipelineConfigError
        If a network is TorchScript, which cannot be trained.
    """
    if pipeline.has_script:
        raise PipelineConfigError("networks that are TorchScript cannot be trained")
    if stage == "embedding":
        return _embedding_task(pipeline, sample, recipe)
    return _edge_task(stage, pipeline, sample, recipe)


def _embedding_task(
    pipeline: Pipeline, sample: TrainingSample, recipe: TrainingRecipe
) -> StageTask:
    schedule, seed = recipe.embedding, recipe.seed

    def loss_of(event: TrainingEvent, purpose: Purpose, number: int) -> Tensor:
        return embedding_loss(
            pipeline.embedding,
            event,
            pipeline.config,
            recipe.targets,
            step_rng(seed, purpose, number),
        )

    def losses_from(first_step: int) -> Iterator[Tensor]:
        batches = augmented_batches(
            list(sample.training),
            recipe.augmentation,
            schedule,
            seed,
            first_step=first_step,
        )
        for step, batch in zip(count(first_step), batches, strict=False):
            # A generator for each event, whatever number of them a step has.
            first = step * schedule.events_per_step
            yield _mean(
                loss_of(event, Purpose.PAIRS, first + place)
                for place, event in enumerate(batch)
            )

    events = _validation_events(sample.validation, schedule, seed)

    def validation_loss() -> float:
        return float(
            _mean(
                loss_of(event, Purpose.VALIDATION, number)
                for number, event in enumerate(events)
            )
        )

    return StageTask(
        pipeline.embedding, schedule, losses_from, validation_loss if events else None
    )


def _edge_task(
    stage: str, pipeline: Pipeline, sample: TrainingSample, recipe: TrainingRecipe
) -> StageTask:
    config: FilterConfig | GnnConfig | TorchScriptConfig
    if stage == "filter":
        network, config = pipeline.edge_filter, pipeline.config.filter
        schedule, seed = recipe.filter, recipe.seed + 1
    else:
        network, config = pipeline.gnn, pipeline.config.gnn
        schedule, seed = recipe.gnn, recipe.seed + 2

    def build(event: TrainingEvent) -> LabelledGraph:
        return build_graph(event, pipeline, recipe.targets, is_filtered=stage == "gnn")

    def loss_of(graph: LabelledGraph, *, bfloat16: bool = False) -> Tensor:
        return edge_loss(
            network,
            graph,
            config.node_inputs,
            config.edge_inputs,
            true_weight=schedule.true_weight,
            bfloat16=bfloat16,
        )

    def losses_from(first_step: int) -> Iterator[Tensor]:
        batches = augmented_batches(
            list(sample.training),
            recipe.augmentation,
            schedule,
            seed,
            first_step=first_step,
        )
        graphs = graphs_ahead(batches, build)
        for step, batch in zip(count(first_step), graphs, strict=False):
            rng = step_rng(seed, Purpose.THINNING, step)
            yield _mean(
                loss_of(g.thinned(schedule.max_edges, rng), bfloat16=schedule.bfloat16)
                for g in batch
            )

    events = _validation_events(sample.validation, schedule, seed)

    @cache
    def validation_graphs() -> list[LabelledGraph]:
        rng = step_rng(seed, Purpose.VALIDATION, len(events))
        return [build(event).thinned(schedule.max_edges, rng) for event in events]

    def validation_loss() -> float:
        return float(_mean(loss_of(graph) for graph in validation_graphs()))

    return StageTask(
        network, schedule, losses_from, validation_loss if events else None
    )


def _validation_events(
    events: Sequence[TrainingEvent], schedule: StageSchedule, seed: int
) -> list[TrainingEvent]:
    """Return some events, evenly spaced, cut to wedges as in training.

    They are not augmented, so they are always the same.
    """
    step = -(-len(events) // VALIDATION_EVENTS) or 1
    return [
        wedge(
            event,
            schedule.max_space_points,
            step_rng(seed, Purpose.VALIDATION, number),
        )
        for number, event in enumerate(events[::step])
    ]


def _mean(losses: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
