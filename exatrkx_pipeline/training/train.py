"""Training of the whole chain: embedding, radius, filter, cut, GNN."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.checkpoint import CheckpointFolder
from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.learning_curve import LearningCurve
from exatrkx_pipeline.training.operating_point import (
    with_cut_for,
    with_operating_point,
    with_radius_for,
)
from exatrkx_pipeline.training.recipe import STAGES, TrainingRecipe
from exatrkx_pipeline.training.samples import TrainingSample, events_of, require_known
from exatrkx_pipeline.training.schedule import Progress, train_stage
from exatrkx_pipeline.training.stage_task import stage_task
from exatrkx_pipeline.training.starting_point import starting_pipeline


@dataclass(frozen=True, slots=True)
class TrainedPipeline:
    """A pipeline, at its operating point in use, with how it learned."""

    pipeline: Pipeline
    curves: tuple[LearningCurve, ...]
    """Of the stages that were trained, in their order."""


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
    sample = TrainingSample(events[:split], events[split:])
    return train_on({"events": sample}, recipe, progress)


def train_on(
    samples: Mapping[str, TrainingSample],
    recipe: TrainingRecipe,
    progress: Progress,
    *,
    start: Pipeline | None = None,
    checkpoints: CheckpointFolder | None = None,
) -> TrainedPipeline:
    """Train the recipe's stages, each on the samples that it names.

    Parameters
    ----------
    samples : mapping of str to TrainingSample
        By name.
    recipe : TrainingRecipe
    progress : Progress
        Called after every step.
    start : Pipeline, optional
        Weights to begin with. They are copied. Stages that the recipe does not train
        are left as they are there.
    checkpoints : CheckpointFolder, optional
        Where each stage is kept while it is trained. If there is something of this
        training in it, it goes on from there; the result is that of a training that
        was never interrupted, to the last bit on the same machine with as many threads.

    Raises
    ------
    PipelineConfigError
        If the recipe does not fit samples or weights.
    WeightsError
        If a checkpoint is damaged, or of another network.
    FloatingPointError
        If a loss is not finite.
    """
    validation = events_of(
        samples, recipe.validation_samples, "validation_samples"
    ).validation
    if not validation and not recipe.keep_cuts:
        raise PipelineConfigError(
            "no validation events to choose radius and cut by: set n_validation"
        )
    torch.manual_seed(recipe.seed)
    pipeline = starting_pipeline(recipe, start)
    curves = []
    for stage in STAGES:
        if stage in recipe.stages:
            curves.append(
                _train(
                    stage,
                    pipeline,
                    samples,
                    recipe,
                    progress=progress,
                    checkpoints=checkpoints,
                )
            )
            pipeline = pipeline.with_current_weights()
        if not recipe.keep_cuts:
            pipeline = _at_operating_point(stage, pipeline, validation, recipe)
    return TrainedPipeline(pipeline, tuple(curves))


def check_plan(
    recipe: TrainingRecipe, samples: Collection[str], start: Pipeline | None
) -> None:
    """Refuse a recipe that does not fit these samples' names, or the weights.

    Now, rather than when all events are read.

    Raises
    ------
    PipelineConfigError
    """
    require_known(samples, recipe.validation_samples, "validation_samples")
    for stage in recipe.stages:
        require_known(samples, recipe.schedule(stage).samples, f"[{stage}] samples")
    starting_pipeline(recipe, start)


def _at_operating_point(
    stage: str,
    pipeline: Pipeline,
    validation: Sequence[TrainingEvent],
    recipe: TrainingRecipe,
) -> Pipeline:
    """With the radius or cut that the next stage needs; after the last, in use."""
    if stage == "embedding":
        return with_radius_for(pipeline, validation, recipe.training_point)
    if stage == "filter":
        return with_cut_for(pipeline, validation, recipe.training_point)
    return with_operating_point(pipeline, validation, recipe.serving_point)


def _train(
    stage: str,
    pipeline: Pipeline,
    samples: Mapping[str, TrainingSample],
    recipe: TrainingRecipe,
    *,
    progress: Progress,
    checkpoints: CheckpointFolder | None,
) -> LearningCurve:
    schedule = recipe.schedule(stage)
    sample = events_of(samples, schedule.samples, f"[{stage}] samples")
    task = stage_task(stage, pipeline, sample, recipe)
    file = None if checkpoints is None else checkpoints.of_stage(stage)
    saved = None if file is None else file.load()
    losses = task.losses_from(1 if saved is None else saved.step + 1)
    return train_stage(
        stage,
        task.network,
        lambda: next(losses),
        schedule,
        progress,
        validation_loss=task.validation_loss,
        file=file,
        saved=saved,
    )
