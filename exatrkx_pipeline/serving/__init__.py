"""The pipeline as served models: named tensors in, named tensors out.

The one adapter that the in-process server and a real Triton share.
"""

from exatrkx_pipeline.serving.parameters import model_parameters
from exatrkx_pipeline.serving.served_model import ServedModel, Tensors, TensorSpec
from exatrkx_pipeline.serving.warm_up import warm_up
from exatrkx_pipeline.serving.whole_pipeline import served_models, split_rows

__all__ = [
    "ServedModel",
    "TensorSpec",
    "Tensors",
    "model_parameters",
    "served_models",
    "split_rows",
    "warm_up",
]
