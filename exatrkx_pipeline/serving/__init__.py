"""The pipeline as served models: named tensors in, named tensors out.

The in-process server and a real Triton both serve these models.
"""

from exatrkx_pipeline.serving.catalogue import served_models, warm_up
from exatrkx_pipeline.serving.models import (
    ServedModel,
    Tensors,
    TensorSpec,
    split_rows,
)
from exatrkx_pipeline.serving.parameters import model_parameters
from exatrkx_pipeline.serving.python_backend import STAGE_METRIC, python_model

__all__ = [
    "STAGE_METRIC",
    "ServedModel",
    "TensorSpec",
    "Tensors",
    "model_parameters",
    "python_model",
    "served_models",
    "split_rows",
    "warm_up",
]
