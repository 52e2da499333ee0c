"""The networks that a training begins with: random, or of other weights."""

from __future__ import annotations

from dataclasses import replace

from exatrkx_pipeline.config import PipelineConfig
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.training.recipe import STAGES, TrainingRecipe
from sonic_base import config_to_mapping

PARTS = {"embedding": "embedding", "filter": "edge_filter", "gnn": "gnn"}
"""Name of each stage's network in a pipeline."""


def starting_pipeline(recipe: TrainingRecipe, start: Pipeline | None) -> Pipeline:
    """Networks of the recipe's sizes, with the weights of `start` where it is to give.

    Random weights depend on torch's seed alone: they are drawn for all stages, whether
    needed or not.

    Raises
    ------
    PipelineConfigError
        If the recipe wants of `start` what that does not have.
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
