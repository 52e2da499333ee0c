"""Training of the whole chain: embedding, radius, filter, filter cut, GNN."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from exatrkx_pipeline.config import PipelineConfig
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.checkpoint import CheckpointFolder, LearningCurve
from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.operating_point import (
    with_cut_for,
    with_operating_point,
    with_radius_for,
)
from exatrkx_pipeline.training.optimisation import Progress, train_stage
from exatrkx_pipeline.training.recipe import STAGES, TrainingRecipe
from exatrkx_pipeline.training.samples import TrainingSample, events_of, require_known
from exatrkx_pipeline.training.stage_task import stage_task
from sonic_base import config_to_mapping

PARTS = {"embedding": "embedding", "filter": "edge_filter", "gnn": "gnn"}
"""Name of each stage's network in a pipeline."""


def starting_pipeline(recipe: TrainingRecipe, start: Pipeline | None) -> Pipeline:
    """Return networks of the recipe's sizes, with the weights of `start` where wanted.

    Random weights depend on torch's seed alone: they are drawn for all stages, whether
    they are needed or not.

    Raises
    ------
    PipelineConfigError
        If `start` lacks what the recipe takes from it.
    """
    if start is not None and start.has_script:
        raise PipelineConfigError(
            "weights to start from have TorchScript networks, which cannot be trained"
        )
    pipeline = Pipeline.untrained(recipe.pipeline)
    if start is None:
        _require_nothing(recipe)
        return pipeline
    for stage in STAGES:
        if not (stage in recipe.stages and recipe.schedule(stage).fresh):
            _require_same(stage, recipe.pipeline, start.config)
            own, other = (p.networks[PARTS[stage]] for p in (pipeline, start))
            own.load_state_dict(other.state_dict())
    pipeline = pipeline.with_current_weights()
    if not recipe.keep_cuts:
        return pipeline
    cut = replace(pipeline.config.filter, filter_cut=start.config.filter.filter_cut)
    config = replace(pipeline.config, graph=start.config.graph, filter=cut)
    return replace(pipeline, config=config)


def _require_nothing(recipe: TrainingRecipe) -> None:
    missing = [stage for stage in STAGES if stage not in recipe.stages]
    if missing:
        raise PipelineConfigError(
            f"stages: {missing[0]} is not trained, and there are no weights to take it "
            "from; name some, or add the stage"
        )
    if recipe.keep_cuts:
        raise PipelineConfigError("keep_cuts: there are no weights whose cuts to keep")


def _require_same(stage: str, wanted: PipelineConfig, given: PipelineConfig) -> None:
    for name in ("features", stage):
        ours, theirs = (config_to_mapping(getattr(c, name)) for c in (wanted, given))
        for key in ours:
            if key != "filter_cut" and ours[key] != theirs.get(key):
                raise PipelineConfigError(
                    f"[pipeline.{name}] {key}: the weights to start from have "
                    f"{theirs.get(key)!r}, the recipe {ours[key]!r}; leave [pipeline] "
                    f"out of the recipe, or set fresh = true in [{stage}]"
                )


@dataclass(frozen=True, slots=True)
class TrainedPipeline:
    """A trained pipeline at its operating point, and its learning curves."""

    pipeline: Pipeline
    curves: tuple[LearningCurve, ...]
    """Learning curves of the stages that were trained, in their order."""


def train(
    events: Sequence[TrainingEvent], recipe: TrainingRecipe, progress: Progress
) -> TrainedPipeline:
    """Train all three networks, one after the other, each on the output of the last.

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
        If there are not more events than are kept for validation.
    FloatingPointError
        If a loss is not finite.
    """
    if len(events) <= recipe.n_validation:
        raise ValueError(
            f"need more events than n_validation = {recipe.n_validation}, "
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
        Weights to start from. They are copied. Stages that the recipe does not train
        keep them.
    checkpoints : CheckpointFolder, optional
        Folder in which each stage is saved while it is trained. A training that was
        interrupted is resumed from it; the result is that of a training that was never
        interrupted, to the last bit on the same machine with as many threads.

    Raises
    ------
    PipelineConfigError
        If the recipe does not fit samples or weights.
    WeightsError
        If a checkpoint is damaged, or belongs to another network.
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
    """Raise an error if a recipe does not fit these samples' names or the weights.

    It is called before the events are read, which takes long.

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
    """Set the radius or cut that the next stage needs; after the last, those in use."""
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
