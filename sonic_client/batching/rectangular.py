"""Requests stacked along the batch dimension of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sonic_base.errors import ConfigError
from sonic_client.batching.base import CheckedRequest, check_request, refuse_request
from sonic_client.batching.rows import empty_rows, find_row_mismatches, split_rows
from sonic_client.config import BatchingConfig
from sonic_client.errors import Mismatch
from sonic_client.types import ModelMetadata, Request, Tensors

__all__ = ["RectangularLayout"]


class RectangularLayout:
    """Requests stacked along the batch dimension, where they agree in the others.

    Every tensor begins with the batch dimension, and its elements are independent
    of each other by Triton's contract: so a request larger than `max_batch_size`
    is cut, and its answers are put together again.

    Raises
    ------
    ConfigError
        If the model has no batch dimension.
    """

    fills_up = False

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        self.max_events, self.max_bytes = config.max_events, config.max_bytes
        self.max_batch_size = metadata.max_batch_size
        self._metadata = metadata
        self._outputs = frozenset(spec.name for spec in metadata.outputs)
        if not metadata.max_batch_size:
            raise ConfigError(
                f"layout 'rectangular' of model {metadata.name!r}: it has "
                "max_batch_size 0, so no batch dimension; use 'per_event'"
            )

        self._empty = empty_rows(metadata.outputs, self._outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata.

        All its inputs must have equally many elements of the batch.
        """
        checked = check_request(request, self._metadata.inputs, self._metadata)
        if checked.error is not None:
            return checked
        inputs = request.inputs
        n_elements = len(next(iter(inputs.values()))) if inputs else 0
        mismatches = [
            Mismatch(name, f"{n_elements} elements of the batch", f"{len(array)}")
            for name, array in inputs.items()
            if len(array) != n_elements
        ]
        if mismatches:
            return refuse_request(request, mismatches, self._metadata)
        kind = tuple(sorted((name, array.shape[1:]) for name, array in inputs.items()))
        return replace(checked, n_rows=n_elements, batch_size=n_elements, kind=kind)

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the stacked inputs; a single request's arrays are not copied."""
        first = batch[0].request.inputs
        if len(batch) == 1:
            return first
        return {
            name: np.concatenate([item.request.inputs[name] for item in batch])
            for name in first
        }

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have not one element per element of the batch."""
        n_elements = sum(item.batch_size for item in batch)
        return find_row_mismatches(outputs, {n_elements}, names=self._outputs)

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return each request's elements of every output, as views."""
        return split_rows(outputs, batch)

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        return None if item.n_rows else self._empty

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return parts of a request of at most so many elements, as views."""
        if item.batch_size <= max_batch_size:
            return [item]
        return [
            self.check(
                Request(
                    item.request.request_id,
                    {
                        name: array[start : start + max_batch_size]
                        for name, array in item.request.inputs.items()
                    },
                )
            )
            for start in range(0, item.batch_size, max_batch_size)
        ]
