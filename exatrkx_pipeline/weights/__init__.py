"""Weights: directories of tensors and their configuration, and the bundled ones."""

from exatrkx_pipeline.weights.importing import Cuts, import_networks
from exatrkx_pipeline.weights.storage import (
    CONFIG_FILE,
    TENSOR_FILE,
    bundled_names,
    bundled_weights,
    load_weights,
    read_weights_config,
    save_weights,
    weights_files,
)

__all__ = [
    "CONFIG_FILE",
    "TENSOR_FILE",
    "Cuts",
    "bundled_names",
    "bundled_weights",
    "import_networks",
    "load_weights",
    "read_weights_config",
    "save_weights",
    "weights_files",
]
