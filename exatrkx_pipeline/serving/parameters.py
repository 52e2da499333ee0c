"""Cuts and scales as the text parameters of a served model, both ways.

They are in the model's configuration, not in its code. A client reads from it how to
scale its features, and the operator of the server may change a cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import get_args

from exatrkx_pipeline.config import (
    FeatureConfig,
    GraphConfig,
    RefinementConfig,
    TrackBuilder,
    TrackBuildingConfig,
)
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.graph.graph_construction import MAX_EDGES, MAX_RADIUS_EDGES
from exatrkx_pipeline.pipeline import Pipeline

Parameters = Mapping[str, str]

LIMITS = {"max_radius_edges": MAX_RADIUS_EDGES, "max_edges": MAX_EDGES}
"""Largest numbers of edges of an event, for a repository that does not set them."""

FEATURE_PARAMETERS = ("feature_names", "feature_scales", "feature_units")
TRACK_BUILDING_PARAMETERS = ("track_building", "score_cut", "walk_min", "walk_add")
REFINEMENT_PARAMETERS = tuple(field.name for field in fields(RefinementConfig))
"""All of them, or none; without them, candidates are not refined."""


INPUT_RANGE, ABOVE_DENSITY = "input_range", "above_density"


def model_parameters(pipeline: Pipeline) -> dict[str, str]:
    """Return scales, cuts and limits as text, in full precision.

    ``input_range`` is the range of the training events; if it is missing, events are
    not compared with it. Weights with others for denser events have the density above
    which they hand an event on, ``above_density``; cuts are those of the first ones.
    """
    config, tracks = pipeline.config, pipeline.config.track_building
    return {
        "feature_names": ",".join(config.features.names),
        "feature_scales": ",".join(map(repr, config.features.scales)),
        "feature_units": "mm,rad,mm",
        "r_val": repr(config.graph.r_val),
        "filter_cut": repr(config.filter.filter_cut),
        "track_building": tracks.method,
        "score_cut": repr(tracks.score_cut),
        "walk_min": repr(tracks.walk_min),
        "walk_add": repr(tracks.walk_add),
        "max_radius_edges": str(pipeline.max_radius_edges),
        "max_edges": str(pipeline.max_edges),
        "weights_id": pipeline.weights_id,
        **_range_parameters(pipeline),
        **_refinement_parameters(config.refinement),
    }


def with_parameters(pipeline: Pipeline, parameters: Parameters) -> Pipeline:
    """Return the pipeline with the cuts and limits that the parameters give.

    Raises
    ------
    PipelineConfigError
        If a parameter is missing or out of its range, or if the scales or the id of the
        weights are not those of the pipeline: the parameters belong to other weights.
    """
    own = model_parameters(pipeline)
    for name in (*FEATURE_PARAMETERS, "weights_id"):
        if text(parameters, name) != own[name]:
            raise PipelineConfigError(
                f"parameter {name} is {parameters[name]!r}, but the weights have "
                f"{own[name]!r}: write the repository again for these weights"
            )
    config, denser = pipeline.config, pipeline.denser
    if denser is not None and ABOVE_DENSITY in parameters:
        denser = replace(denser, above=number(parameters, ABOVE_DENSITY))
    given = replace(
        pipeline,
        denser=denser,
        config=replace(
            config,
            graph=GraphConfig(r_val=number(parameters, "r_val")),
            filter=replace(config.filter, filter_cut=number(parameters, "filter_cut")),
            track_building=track_building_config(parameters),
            refinement=refinement_config(parameters),
        ),
    ).with_limits(
        max_radius_edges=limit(parameters, "max_radius_edges"),
        max_edges=limit(parameters, "max_edges"),
    )
    if INPUT_RANGE not in parameters:  # an older repository, or any input is wanted
        return given.with_checks(lambda _: None)
    return given


def feature_config(parameters: Parameters) -> FeatureConfig:
    """Read names and scales of the features.

    Raises
    ------
    PipelineConfigError
        If one is missing or out of its range. The functions below raise it likewise.
    """
    scales = text(parameters, "feature_scales")
    try:
        values = tuple(map(float, scales.split(",")))
    except ValueError as error:
        raise PipelineConfigError(
            f"parameter feature_scales: expected numbers, got {scales!r}"
        ) from error
    names = tuple(text(parameters, "feature_names").split(","))
    return FeatureConfig(names=names, scales=values)


def track_building_config(parameters: Parameters) -> TrackBuildingConfig:
    """Read how scored edges become tracks."""
    method = text(parameters, "track_building")
    known: tuple[TrackBuilder, ...] = get_args(TrackBuilder)
    for each in known:
        if each == method:
            return TrackBuildingConfig(
                method=each,
                score_cut=number(parameters, "score_cut"),
                walk_min=number(parameters, "walk_min"),
                walk_add=number(parameters, "walk_add"),
            )
    raise PipelineConfigError(
        f"parameter track_building: expected one of {known}, got {method!r}"
    )


def refinement_config(parameters: Parameters) -> RefinementConfig | None:
    """Read how candidates are refined; None if the parameters do not say."""
    if not any(name in parameters for name in REFINEMENT_PARAMETERS):
        return None
    values = {name: number(parameters, name) for name in REFINEMENT_PARAMETERS}
    least = values.pop("min_space_points")
    if not least.is_integer():
        raise PipelineConfigError(
            f"parameter min_space_points: expected a whole number, got {least}"
        )
    return RefinementConfig(min_space_points=int(least), **values)


def _range_parameters(pipeline: Pipeline) -> dict[str, str]:
    known, denser = pipeline.input_range, pipeline.denser
    range_ = {} if known is None else {INPUT_RANGE: known.to_text()}
    return range_ if denser is None else range_ | {ABOVE_DENSITY: repr(denser.above)}


def _refinement_parameters(refinement: RefinementConfig | None) -> dict[str, str]:
    if refinement is None:
        return {}
    return {name: repr(value) for name, value in asdict(refinement).items()}


def number(parameters: Parameters, name: str) -> float:
    """Read a parameter that is a number."""
    value = text(parameters, name)
    try:
        return float(value)
    except ValueError as error:
        raise PipelineConfigError(
            f"parameter {name}: expected a number, got {value!r}"
        ) from error


def limit(parameters: Parameters, name: str) -> int:
    """Read a positive whole number, one of `LIMITS`; older repositories have none."""
    value = parameters.get(name, str(LIMITS[name]))
    if not value.isdecimal() or int(value) == 0:
        raise PipelineConfigError(
            f"parameter {name}: expected a positive whole number, got {value!r}"
        )
    return int(value)


def text(parameters: Parameters, name: str) -> str:
    """Read a parameter that must be there."""
    if name not in parameters:
        raise PipelineConfigError(f"the model's configuration lacks parameter {name}")
    return parameters[name]
