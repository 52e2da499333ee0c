"""Which requests travel in one message, and how the answer is taken apart again.

All of it is pure: nothing here sends or waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sonic_client.config import BatchingConfig, ClientConfig
from sonic_client.errors import ConfigError, Mismatch, TensorMismatchError
from sonic_client.tensor_checks import find_input_mismatches, form_of
from sonic_client.types import (
    ModelMetadata,
    Request,
    Tensors,
    TensorSpec,
    payload_bytes,
)

__all__ = [
    "BatchPlanner",
    "BatchingLayout",
    "CheckedRequest",
    "ConcatLayout",
    "PerEventLayout",
    "layout_of",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CheckedRequest:
    """A request that was compared with the model's metadata.

    Attributes
    ----------
    request : Request
    n_rows : int
        Length of the first input's first axis.
    n_bytes : int
        Size of its tensors; 0 if it will not be sent.
    error : TensorMismatchError or None
        Why it cannot be sent.
    """

    request: Request
    n_rows: int = 0
    n_bytes: int = 0
    error: TensorMismatchError | None = None


class BatchingLayout(Protocol):
    """How requests are laid out in messages of one model.

    Attributes
    ----------
    max_events, max_bytes : int
        Bounds of one message. A single request may exceed the bytes.
    """

    max_events: int
    max_bytes: int

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata."""
        ...

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the inputs of one message."""
        ...

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that cannot be told apart by request."""
        ...

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return the outputs of each request, as views."""
        ...


class PerEventLayout:
    """One message a request, as it is."""

    max_events = 1
    max_bytes = 0

    def __init__(self, metadata: ModelMetadata) -> None:
        self._metadata = metadata
        self._specs = metadata.inputs

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata."""
        return _check(request, self._specs, self._metadata)

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the only request's inputs, which are not copied."""
        (only,) = batch
        return only.request.inputs

    def find_row_mismatches(
        self,
        outputs: Tensors,
        batch: Sequence[CheckedRequest],
    ) -> list[Mismatch]:
        """Name none: all outputs belong to the only request."""
        return []

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return the outputs as those of the only request."""
        return [outputs]


class ConcatLayout:
    """Requests joined along their first axis, told apart by row splits.

    Row splits are offsets: request i has the rows from ``row_splits[i]`` to
    ``row_splits[i + 1]``. No request is ever cut.

    Raises
    ------
    ConfigError
        If the model has no such input, or has tensors that cannot be joined.
    """

    def __init__(self, metadata: ModelMetadata, limits: BatchingConfig) -> None:
        self.max_events, self.max_bytes = limits.max_events, limits.max_bytes
        self._metadata = metadata
        self._row_splits = limits.row_splits
        # Batches must agree on their inputs, so none may be left out of one.
        self._specs = tuple(
            replace(spec, optional=False)
            for spec in metadata.inputs
            if spec.name != limits.row_splits
        )
        wanted = TensorSpec(limits.row_splits, "INT64", (-1,))
        where = f"layout 'concat' of model {metadata.name!r}"
        if wanted not in metadata.inputs:
            inputs = ", ".join(map(str, metadata.inputs))
            raise ConfigError(f"{where}: no input {wanted}, the inputs are {inputs}")
        if metadata.max_batch_size:
            raise ConfigError(
                f"{where}: max_batch_size must be 0, got {metadata.max_batch_size}"
            )
        for spec in (*self._specs, *metadata.outputs):
            if spec.shape[:1] != (-1,):
                raise ConfigError(f"{where}: first axis is not free: {spec}")

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata.

        All its inputs must have equally many rows: they share the row splits.
        """
        checked = _check(request, self._specs, self._metadata)
        if checked.error is not None:
            return checked
        mismatches = [
            Mismatch(name, f"{checked.n_rows} rows", f"{len(array)} rows")
            for name, array in request.inputs.items()
            if len(array) != checked.n_rows
        ]
        if mismatches:
            return _refuse(request, mismatches, self._metadata)
        return checked

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the joined inputs and their row splits.

        A single request's arrays are not copied.
        """
        first = batch[0].request.inputs
        if len(batch) == 1:
            joined = dict(first)
        else:
            joined = {
                name: np.concatenate([item.request.inputs[name] for item in batch])
                for name in first
            }
        joined[self._row_splits] = _row_splits(batch)
        return joined

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have not one row per input row."""
        n_rows = sum(item.n_rows for item in batch)
        return [
            Mismatch(name, f"{n_rows} rows, one per input row", form_of(array))
            for name, array in outputs.items()
            if len(array) != n_rows
        ]

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return each request's rows of every output, as views."""
        return [
            {name: array[start:stop] for name, array in outputs.items()}
            for start, stop in pairwise(_row_splits(batch).tolist())
        ]


def layout_of(config: ClientConfig, metadata: ModelMetadata) -> BatchingLayout:
    """Return the configured layout, if the model can take it.

    Raises
    ------
    ConfigError
        If it cannot.
    """
    if config.layout == "concat":
        return ConcatLayout(metadata, config.batching)
    return PerEventLayout(metadata)


class BatchPlanner:
    """Groups consecutive requests, in order, by number and bytes.

    Every request is in exactly one batch, and no batch is empty.
    """

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._waiting: list[CheckedRequest] = []
        self._n_bytes = 0

    def add(self, item: CheckedRequest) -> list[list[CheckedRequest]]:
        """Take the next request; return the batches that it completes."""
        complete = []
        if self._waiting and self._n_bytes + item.n_bytes > self._max_bytes:
            complete += self.flush()
        self._waiting.append(item)
        self._n_bytes += item.n_bytes
        if len(self._waiting) >= self._max_events or self._n_bytes >= self._max_bytes:
            complete += self.flush()
        return complete

    def flush(self) -> list[list[CheckedRequest]]:
        """Return what waits for more, as the last batch, if there is any."""
        batch, self._waiting, self._n_bytes = self._waiting, [], 0
        return [batch] if batch else []


def _row_splits(batch: Sequence[CheckedRequest]) -> NDArray[np.int64]:
    row_splits = np.zeros(len(batch) + 1, dtype=np.int64)
    np.cumsum([item.n_rows for item in batch], out=row_splits[1:])
    return row_splits


def _check(
    request: Request, specs: Sequence[TensorSpec], metadata: ModelMetadata
) -> CheckedRequest:
    mismatches = find_input_mismatches(
        request.inputs, specs, max_batch_size=metadata.max_batch_size
    )
    if mismatches:
        return _refuse(request, mismatches, metadata)
    first = request.inputs.get(specs[0].name) if specs else None
    return CheckedRequest(
        request=request,
        n_rows=len(first) if first is not None and first.ndim else 0,
        n_bytes=payload_bytes(request.inputs),
    )


def _refuse(
    request: Request, mismatches: Sequence[Mismatch], metadata: ModelMetadata
) -> CheckedRequest:
    error = TensorMismatchError(model=metadata.name, mismatches=mismatches)
    return CheckedRequest(request=request, error=error)
