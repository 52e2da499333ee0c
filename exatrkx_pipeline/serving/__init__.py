"""The pipeline as served models: named tensors in, named tensors out.

The one adapter that the in-process server and a real Triton share.
"""

from exatrkx_pipeline.serving.catalogue import warm_up
from exatrkx_pipeline.serving.models import (
    ServedModel,
    Tensors,
    TensorSpec,
    served_models,
    split_rows,
)
from exatrkx_pipeline.serving.parameters import model_parameters

__all__ = [
    "ServedModel",
    "TensorSpec",
    "Tensors",
    "model_parameters",
    "served_models",
    "split_rows",
    "warm_up",
]
