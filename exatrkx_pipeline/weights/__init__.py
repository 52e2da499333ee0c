"""Weights: directories of tensors and their configuration, and the bundled ones."""

from exatrkx_pipeline.weights.importing import Cuts, import_networks
from exatrkx_pipeline.weights.measuring import measure_input_range
from exatrkx_pipeline.weights.storage import (
    CONFIG_FILE,
    DEFAULT,
    TENSOR_FILE,
    bundled_names,
    bundled_weights,
    find_weights,
    load_weights,
    read_weights_config,
    record_range,
    save_weights,
    set_members,
    weights_files,
    weights_id_of,
)

__all__ = [
    "CONFIG_FILE",
    "DEFAULT",
    "TENSOR_FILE",
    "Cuts",
    "bundled_names",
    "bundled_weights",
    "find_weights",
    "import_networks",
    "load_weights",
    "measure_input_range",
    "read_weights_config",
    "record_range",
    "save_weights",
    "set_members",
    "weights_files",
    "weights_id_of",
]
