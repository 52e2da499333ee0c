"""A model's first call before its first request: its loops are compiled in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from exatrkx_pipeline.serving.served_model import ServedModel

N_ROWS = 2  # of each tensor: two equal points make one edge

LOCK_FILE = Path(tempfile.gettempdir()) / f"exatrkx-warm-up-{os.getuid()}.lock"
"""One for each user: another's may not be opened."""

# Of the KServe data types those that the models here take.
DTYPES: dict[str, type[np.generic]] = {"FP32": np.float32, "INT64": np.int64}


def warm_up(model: ServedModel) -> None:
    """Run the model once, on zeros.

    On a machine where it never ran, that takes up to a minute, which must not count
    against the deadline of whoever asks first: a server is ready after it. Machine code
    is kept on disk, and the next time this takes a second or two. Processes take turns,
    as those of Triton's instances, which start together: one compiles for all.

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
    with FileLock(LOCK_FILE):
        model.function(tensors)
