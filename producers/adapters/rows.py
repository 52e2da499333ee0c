"""The rows of one array through a model: whole, or in batches, never padded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.awkward_inference import AwkwardClient, array_failed
from producers.model.errors import ArrayFailedError
from producers.model.results import FailurePolicy
from sonic_base.errors import ConfigError
from sonic_client.types import Answer, Request, Tensors, TensorSpec

__all__ = ["infer_rows"]


# Any: of any element type.
def infer_rows(
    client: AwkwardClient,
    inputs: Mapping[str, NDArray[Any]],
    *,
    batch_size: int = -1,
    on_failure: FailurePolicy = "raise",
    fill: Any = 0,
    on_unanswered: Callable[[ArrayFailedError], object] | None = None,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Return a model's outputs for rows, and which rows have an answer.

    A model that takes a batch gets at most so many rows a request, several requests
    at once; any other gets all of them in one request, since its rows belong
    together. No rows need no request.

    Parameters
    ----------
    client : sonic_client.Client
    inputs : mapping of str to ndarray, shape (n_rows, ...)
        By input of the model.
    batch_size : int
        Rows a request, if the model takes a batch; as many as it takes if negative.
    on_failure : {"raise", "skip", "fill"}
        With the last two, rows without an answer hold zeros, or `fill`.
    on_unanswered : callable, optional
        With the last two, called with the error of each request that failed.

    Returns
    -------
    outputs : dict of str to ndarray
        By output of the model.
    is_answered : ndarray, shape (n_rows,), bool

    Raises
    ------
    ConfigError
        If the inputs differ in their number of rows, or the batch size is zero.
    ArrayFailedError
        With ``on_failure="raise"``, for the first request that failed; the client's
        error is its cause.
    """
    lengths = {name: len(array) for name, array in inputs.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"inputs must have as many rows as each other: {lengths}")
    n_rows = next(iter(lengths.values()))
    batches = _batches(n_rows, client.metadata.max_batch_size, batch_size)
    requests = (
        Request(number, {name: array[rows] for name, array in inputs.items()})
        for number, rows in enumerate(batches)
    )
    is_answered = np.ones(n_rows, dtype=np.bool_)
    parts: list[Tensors] = []
    for rows, outcome in zip(batches, client.map(requests), strict=True):
        if isinstance(outcome, Answer):
            parts.append(outcome.outputs)
            continue
        part = f"rows {rows.start} to {rows.stop - 1} of {n_rows}"
        error = array_failed(client.metadata.name, part, outcome)
        if on_failure == "raise":
            raise error
        if on_unanswered is not None:
            on_unanswered(error)
        is_answered[rows] = False
        value = fill if on_failure == "fill" else 0
        parts.append(_stand_in(client, rows.stop - rows.start, value))
    return {
        spec.name: np.concatenate([_blank(spec, 0), *(p[spec.name] for p in parts)])
        for spec in client.metadata.outputs
    }, is_answered


def _batches(n_rows: int, max_batch_size: int, batch_size: int) -> list[slice]:
    if batch_size == 0:
        raise ConfigError("batch_size must be at least 1, or negative, got 0")
    if max_batch_size == 0:
        return [slice(0, n_rows)] if n_rows else []
    size = max_batch_size if batch_size < 0 else min(batch_size, max_batch_size)
    return [slice(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]


def _stand_in(client: AwkwardClient, n_rows: int, value: Any) -> Tensors:
    outputs: dict[str, NDArray[Any]] = {}
    for spec in client.metadata.outputs:
        outputs[spec.name] = _blank(spec, n_rows)
        outputs[spec.name][...] = value
    return outputs


def _blank(spec: TensorSpec, n_rows: int) -> NDArray[Any]:
    return np.zeros((n_rows, *(max(n, 0) for n in spec.shape[1:])), spec.dtype)
