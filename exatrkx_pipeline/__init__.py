"""The Exa.TrkX tracking pipeline: arrays of space points in, track labels out.

Importing the package loads nothing heavy; its names load torch when first used.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from exatrkx_pipeline.config import PipelineConfig
    from exatrkx_pipeline.errors import PipelineConfigError, WeightsError
    from exatrkx_pipeline.pipeline import Pipeline
    from exatrkx_pipeline.serving import ServedModel, served_models
    from exatrkx_pipeline.stages import StageClock, StageResults
    from exatrkx_pipeline.weights.storage import (
        bundled_weights,
        load_weights,
        save_weights,
    )

_HOME = {
    "Pipeline": "pipeline",
    "PipelineConfig": "config",
    "PipelineConfigError": "errors",
    "ServedModel": "serving",
    "StageClock": "stages",
    "StageResults": "stages",
    "WeightsError": "errors",
    "bundled_weights": "checkpoints",
    "load_weights": "checkpoints",
    "save_weights": "checkpoints",
    "served_models": "serving",
}

__all__ = [
    "Pipeline",
    "PipelineConfig",
    "PipelineConfigError",
    "ServedModel",
    "StageClock",
    "StageResults",
    "WeightsError",
    "bundled_weights",
    "load_weights",
    "save_weights",
    "served_models",
]


def __getattr__(name: str) -> _typing.Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
