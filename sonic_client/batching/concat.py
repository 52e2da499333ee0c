"""Requests joined along their first axis, told apart by row splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sonic_base.errors import ConfigError
from sonic_client.batching.base import (
    CheckedRequest,
    check_request,
    refuse_request,
    required,
)
from sonic_client.batching.rows import (
    empty_rows,
    find_row_mismatches,
    row_splits_of,
    split_rows,
)
from sonic_client.config import BatchingConfig
from sonic_client.errors import Mismatch
from sonic_client.types import ModelMetadata, Request, Tensors, TensorSpec

__all__ = ["ConcatLayout"]


class ConcatLayout:
    """Requests joined along their first axis, told apart by row splits.

    Row splits are offsets: request i has the rows from ``row_splits[i]`` to
    ``row_splits[i + 1]``. No request is ever cut.

    Raises
    ------
    ConfigError
        If the model has no such input, or has tensors that cannot be joined.
    """

    max_batch_size = 0
    fills_up = False

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        self.max_events, self.max_bytes = config.max_events, config.max_bytes
        self._metadata = metadata
        self._row_splits = config.row_splits
        self._specs = required(
            [spec for spec in metadata.inputs if spec.name != config.row_splits]
        )
        self._outputs = frozenset(spec.name for spec in metadata.outputs)
        wanted = TensorSpec(config.row_splits, "INT64", (-1,))
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
        if variable := [name for name in self._outputs if config.is_variable(name)]:
            raise ConfigError(
                f"{where}: an output of variable length cannot be told apart by "
                f"event: {', '.join(sorted(variable))}; use 'per_event'"
            )

        self._empty = empty_rows(metadata.outputs, self._outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata.

        All its inputs must have equally many rows: they share the row splits.
        """
        checked = check_request(request, self._specs, self._metadata)
        if checked.error is not None:
            return checked
        mismatches = [
            Mismatch(name, f"{checked.n_rows} rows", f"{len(array)} rows")
            for name, array in request.inputs.items()
            if len(array) != checked.n_rows
        ]
        if mismatches:
            return refuse_request(request, mismatches, self._metadata)
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
        joined[self._row_splits] = row_splits_of(batch)
        return joined

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have not one row per input row."""
        n_rows = sum(item.n_rows for item in batch)
        return find_row_mismatches(outputs, {n_rows}, names=self._outputs)

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return each request's rows of every output, as views."""
        return split_rows(outputs, batch)

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        return None if item.n_rows else self._empty

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return the request whole: its rows belong together."""
        return [item]
