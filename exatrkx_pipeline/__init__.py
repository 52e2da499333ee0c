"""The Exa.TrkX tracking pipeline: arrays of space points in, track labels out.

Importing the package loads nothing heavy. Its names load torch when first used.

Public submodules
-----------------
- `model_names`: names of the served models
- `config`: sizes, cuts and scales of a pipeline
- `graph`: the fixed-radius neighbour search
- `stages`: the stages of a pipeline, the inputs of its networks, times and results
- `weights`: directories of weights, the bundled ones, import of the paper's networks
- `serving`: the pipeline as served models, for any server
- `repository`: model repositories for a real Triton
- `training`: recipes, samples and the training of the three networks
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from exatrkx_pipeline.config import PipelineConfig
    from exatrkx_pipeline.errors import PipelineConfigError, WeightsError
    from exatrkx_pipeline.pipeline import Pipeline
    from exatrkx_pipeline.serving import ServedModel, served_models
    from exatrkx_pipeline.stages import StageClock, StageResults
    from exatrkx_pipeline.weights import bundled_weights, load_weights, save_weights

_MODULE_OF = {
    "Pipeline": "pipeline",
    "PipelineConfig": "config",
    "PipelineConfigError": "errors",
    "ServedModel": "serving",
    "StageClock": "stages",
    "StageResults": "stages",
    "WeightsError": "errors",
    "bundled_weights": "weights",
    "load_weights": "weights",
    "save_weights": "weights",
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
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
