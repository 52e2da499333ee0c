"""The classification extension: the largest values of an output, instead of all.

Rules: ``TopkClassifications`` of triton-inference-server/server, in
``src/classification.cc``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mock_server.errors import invalid
from mock_server.wire.codec import ELEMENT_BYTES, RawTensor, decode, pack_strings

CLASSIFIED = frozenset(ELEMENT_BYTES) - {"BOOL", "FP16", "BF16"}
"""Datatypes whose elements Triton ranks."""


def classify(
    tensor: RawTensor, n_classes: int, labels: Sequence[str], *, has_rows: bool
) -> RawTensor:
    """The `n_classes` largest values of each row, as texts ``value:index[:label]``.

    Parameters
    ----------
    tensor : RawTensor
        An output of numbers.
    n_classes : int
        At least 1; of shorter rows all values are given.
    labels : sequence of str
        Name of each index, as far as there are any.
    has_rows : bool
        Whether the first dimension is the batch; else all values are one row.

    Returns
    -------
    RawTensor
        BYTES, shape (rows, k) or (k,): best first, equal ones by index.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for elements of another type than `CLASSIFIED`.
    """
    if tensor.datatype not in CLASSIFIED:
        raise invalid(
            "class result not available for output due to unsupported type "
            f"'{tensor.datatype}'"
        )
    array = decode(tensor.data, tensor.datatype, tensor.shape)
    rows = array.reshape(array.shape[0], -1) if has_rows else array.reshape(1, -1)
    k = min(n_classes, rows.shape[1])
    texts = [text for row in rows for text in _best(row, k, labels)]
    shape = (rows.shape[0], k) if has_rows else (k,)
    return RawTensor(tensor.name, "BYTES", shape, pack_strings(texts))


def _best(row: NDArray[Any], k: int, labels: Sequence[str]) -> list[str]:
    # A stable sort of the reversed row keeps equal values in order when read backwards.
    ascending = np.argsort(row[::-1], kind="stable")
    indices = (len(row) - 1 - ascending)[::-1][:k].tolist()
    is_float = np.issubdtype(row.dtype, np.floating)
    texts = []
    for index in indices:
        value = row[index].item()
        text = f"{value:f}:{index}" if is_float else f"{int(value)}:{index}"
        texts.append(f"{text}:{labels[index]}" if index < len(labels) else text)
    return texts
