"""Rows of outputs that must be those of the inputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sonic_client.batching.base import CheckedRequest
from sonic_client.errors import Mismatch
from sonic_client.tensor_checks import form_of
from sonic_client.types import Tensors

__all__ = ["find_row_mismatches", "row_splits_of", "split_rows"]


def row_splits_of(batch: Sequence[CheckedRequest]) -> NDArray[np.int64]:
    """Return the offsets of the requests' rows in a joined message.

    Returns
    -------
    ndarray, shape (n_requests + 1,), int64
        ``[0]`` for no requests.
    """
    row_splits = np.zeros(len(batch) + 1, dtype=np.int64)
    np.cumsum([item.n_rows for item in batch], out=row_splits[1:])
    return row_splits


def split_rows(outputs: Tensors, batch: Sequence[CheckedRequest]) -> list[Tensors]:
    """Return each request's rows of every output, as views."""
    return [
        {name: array[start:stop] for name, array in outputs.items()}
        for start, stop in pairwise(row_splits_of(batch).tolist())
    ]


def find_row_mismatches(
    outputs: Tensors, allowed: Collection[int], *, names: Collection[str]
) -> list[Mismatch]:
    """Name the outputs, of those named, that have another number of rows."""
    expected = " or ".join(str(n) for n in sorted(set(allowed)))
    return [
        Mismatch(name, f"{expected} rows, one per input row", form_of(array))
        for name, array in outputs.items()
        if name in names and len(array) not in allowed
    ]
