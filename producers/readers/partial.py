"""What a tracking job had finished when it was interrupted: a folder of blocks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from producers.model.errors import UnreadableFileError
from producers.model.track_block import TrackBlock

__all__ = ["block_name", "is_partial", "partial_folder", "read_blocks"]

SUFFIX = ".partial"


def partial_folder(output: Path | str) -> Path:
    """Return the folder beside an output that has what is finished of it."""
    output = Path(output)
    return output.with_name(output.name + SUFFIX)


def is_partial(path: Path | str) -> bool:
    """Whether a path leads to such a folder."""
    return Path(path).suffix == SUFFIX and Path(path).is_dir()


def block_name(number: int) -> str:
    """Return the name of a block's file; from zero."""
    return f"block-{number:06d}.npz"


def read_blocks(folder: Path) -> Iterator[TrackBlock]:
    """Read the events that a job finished, block by block.

    Raises
    ------
    UnreadableFileError
        If a block is damaged, or one before it is not there.
    """
    for number, path in enumerate(sorted(folder.glob("block-*.npz"))):
        if path.name != block_name(number):
            raise UnreadableFileError(folder, f"{block_name(number)} is not there")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                block = TrackBlock.from_arrays(arrays)
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise UnreadableFileError(path, f"damaged block: {error}") from error
        yield block
