"""Rows of outputs that must be those of the inputs."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sonic_client.batching.base import CheckedRequest
from sonic_client.errors import Mismatch
from sonic_client.tensor_checks import form_of
from sonic_client.types import Tensors, TensorSpec

__all__ = ["empty_rows", "find_row_mismatches", "row_splits_of", "split_rows"]


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
    wrong = [
        name
        for name, array in outputs.items()
        if name in names and len(array) not in allowed
    ]
    if not wrong:
        return []
    expected = " or ".join(str(n) for n in sorted(set(allowed)))
    return [
        Mismatch(name, f"{expected} rows, one per input row", form_of(outputs[name]))
        for name in wrong
    ]


def empty_rows(
    specs: Iterable[TensorSpec], row_outputs: Container[str]
) -> Tensors | None:
    """Return outputs of no rows, if that is what all outputs have for no rows.

    Parameters
    ----------
    specs : iterable of TensorSpec
        Outputs of one request; the first axis is that of the rows.
    row_outputs : container of str
        Those that have the rows of the inputs.
    """
    empty = {}
    for spec in specs:
        if spec.name not in row_outputs or -1 in spec.shape[1:]:
            return None
        empty[spec.name] = np.empty((0, *spec.shape[1:]), spec.dtype)
        empty[spec.name].flags.writeable = False
    return empty
