"""Every served model by its name, built from its parameters alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from exatrkx_pipeline.checkpoints import bundled_weights, load_weights
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.serving import steps
from exatrkx_pipeline.serving.parameters import (
    FEATURES,
    REFINEMENT,
    TRACK_BUILDING,
    feature_config,
    model_parameters,
    number,
    refinement_config,
    text,
    track_building_config,
    with_parameters,
)
from exatrkx_pipeline.serving.served_model import ServedModel
from exatrkx_pipeline.serving.whole_pipeline import served_models
from exatrkx_pipeline.stages import StageClock

BUNDLED = "bundled"
"""Value of parameter ``weights``: those in the installed package."""

WHOLE = ("exatrkx", "exatrkx_batch")
STEPS = ("embed", "frnn", "filter", "applyfilter", "gnn", "wcc")
NETWORK_STEPS: dict[str, Callable[[Pipeline, Mapping[str, str]], ServedModel]] = {
    "embed": steps.embed,
    "filter": steps.edge_filter,
    "gnn": steps.gnn,
}

STEP_PARAMETERS = {
    "frnn": ("r_val", "embedding_dim", "max_radius_edges"),
    "applyfilter": ("filter_cut", "max_edges"),
    "wcc": (*FEATURES, *TRACK_BUILDING, *REFINEMENT),
}
"""What the steps without a network take, if it is there; the others take all, for their
weights'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What a model finds where it is served."""

    parameters: Mapping[str, str]
    folder: Path
    """Parameter ``weights`` is relative to it."""
    device: str = "cpu"
    clock: StageClock | None = None

    def pipeline(self) -> Pipeline:
        """The pipeline of the weights and the cuts that the parameters name.

        Raises
        ------
        WeightsError
            If the weights cannot be used.
        PipelineConfigError
            If a parameter is missing, wrong, or written for other weights.
        """
        name = text(self.parameters, "weights")
        folder = bundled_weights() if name == BUNDLED else self.folder / name
        return with_parameters(
            load_weights(folder, device=self.device), self.parameters
        )


def parameters_of(model: str, pipeline: Pipeline, weights: str) -> dict[str, str]:
    """The parameters that `build` needs for this model."""
    every = model_parameters(pipeline) | {
        "embedding_dim": str(pipeline.config.embedding.dim)
    }
    if model in STEP_PARAMETERS:
        return {name: every[name] for name in STEP_PARAMETERS[model] if name in every}
    return model_parameters(pipeline) | {"weights": weights}


def build(model: str, settings: ModelSettings) -> ServedModel:
    """The model of this name, ready to be called.

    Raises
    ------
    WeightsError, PipelineConfigError
        If its parameters do not make one.
    """
    if model in STEP_PARAMETERS:
        return _light_step(model, settings.parameters, settings.device)
    pipeline = settings.pipeline()
    return served_model(model, pipeline, settings.parameters, settings.clock)


def served_model(
    model: str,
    pipeline: Pipeline,
    parameters: Mapping[str, str],
    clock: StageClock | None = None,
) -> ServedModel:
    """The model of this name over a pipeline that is there already."""
    if model in STEP_PARAMETERS:
        return _light_step(model, parameters, pipeline.device)
    if model in WHOLE:
        found = next(
            each for each in served_models(pipeline, clock) if each.name == model
        )
        return replace(found, parameters=dict(parameters))
    return NETWORK_STEPS[model](pipeline, parameters)


def _light_step(model: str, parameters: Mapping[str, str], device: str) -> ServedModel:
    if model == "frnn":
        return steps.frnn(
            number(parameters, "r_val"),
            int(number(parameters, "embedding_dim")),
            device,
            parameters,
        )
    if model == "applyfilter":
        return steps.applyfilter(number(parameters, "filter_cut"), parameters)
    return steps.wcc(
        feature_config(parameters),
        track_building_config(parameters),
        refinement_config(parameters),
        parameters,
    )
