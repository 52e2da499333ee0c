"""A folder for weights: checked before the work, filled when all is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.checkpoints import (
    CONFIG_FILE,
    TENSOR_FILE,
    save_weights,
    weights_files,
)
from producers.model.errors import OutputError
from sonic_tracking.outputs import RefusedOutputError

__all__ = ["check_folder", "write_weights"]

FILES = (TENSOR_FILE, CONFIG_FILE)
"""What every weights directory has."""


def check_folder(output: Path, *, force: bool) -> None:
    """Refuse a folder now, rather than after hours of training.

    Raises
    ------
    RefusedOutputError
        If it has weights and `force` is not set.
    OutputError
        If it is a file, or its parent does not exist.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(output, "is a file, expected a folder for the weights")
    if not output.resolve().parent.is_dir():
        raise OutputError(output, f"folder {str(output.parent)!r} does not exist")
    if not force and any((output / name).exists() for name in FILES):
        raise RefusedOutputError(
            f"{output}: has weights already; --force replaces them"
        )


# Any: TOML values of several kinds.
def write_weights(
    output: Path,
    pipeline: Pipeline,
    *,
    training: dict[str, Any],
    scores: dict[str, Any],
) -> None:
    """Write a weights directory, made if it does not exist; old weights stay till then.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    parent = output.resolve().parent
    try:
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=parent) as folder:
            made = save_weights(
                Path(folder), pipeline, training=training, scores=scores
            )
            output.mkdir(exist_ok=True)
            for file in weights_files(made):
                file.replace(output / file.name)
    except OSError as error:
        raise OutputError(output, f"cannot write: {error.strerror}") from error
