"""Archives of arrays, as numpy writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from producers.io.location import damaged_file_named, open_binary
from producers.model.types import AnyArray
from sonic_base import check_inflated_size


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, AnyArray]:
    """Read the arrays of a .npz by name; all of them, or those that are asked for.

    Nothing is unpickled.

    Raises
    ------
    UnreadableFileError
        If it is truncated or damaged, lacks an array, or would take far more memory
        than it has bytes.
    """
    with (
        open_binary(path) as file,
        damaged_file_named(path, "numpy", "its arrays"),
        np.load(file, allow_pickle=False) as arrays,
    ):
        check_inflated_size(arrays.zip)
        return {name: arrays[name] for name in names or arrays.files}
