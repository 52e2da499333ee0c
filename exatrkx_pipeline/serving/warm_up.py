"""A model's first call before its first request: its loops are compiled in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline.serving.served_model import ServedModel

N_ROWS = 2  # of each tensor: two equal points make one edge

# Of the KServe data types those that the models here take.
DTYPES: dict[str, type[np.generic]] = {"FP32": np.float32, "INT64": np.int64}


def warm_up(model: ServedModel) -> None:
    """Run the model once, on zeros.

    On a machine where it never ran, that takes up to a minute, which must not count
    against the deadline of whoever asks first: a server is ready after it. Machine code
    is kept on disk, and the next time this takes a second or two.

    Parameters
    ----------
    model : ServedModel
        Any of the catalogue.
    """
    tensors: dict[str, NDArray[Any]] = {
        name: np.zeros([N_ROWS if n < 0 else n for n in shape], DTYPES[data_type])
        for name, data_type, shape in model.inputs
    }
    if "ROW_SPLITS" in tensors:
        tensors["ROW_SPLITS"] = np.array([0, N_ROWS])
    model.function(tensors)
