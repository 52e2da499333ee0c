"""Requests stacked along a new axis, filled up to the longest, with a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sonic_base.errors import ConfigError
from sonic_client.batching.base import (
    CheckedRequest,
    check_request,
    refuse_request,
    required,
)
from sonic_client.batching.rows import empty_rows
from sonic_client.config import BatchingConfig
from sonic_client.errors import Mismatch
from sonic_client.tensor_checks import form_of
from sonic_client.types import ModelMetadata, Request, Tensors, TensorSpec

__all__ = ["PaddedLayout"]

# A mask is one per cell; text would be none.
_MASK_DATATYPES = ("BOOL", "UINT8", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64")


class PaddedLayout:
    """Requests of n rows in one array ``[n_events, n_max, ...]``, beside a mask.

    Inputs whose second axis is free are filled up to the longest request with
    `padding_value` (``BYTES`` with the empty string); others have one value per
    request and are stacked. The mask ``[n_events, n_max]`` is 1 where a row is
    real. Of outputs with a free second axis, each request gets its own rows back;
    of others, its own element.

    Raises
    ------
    ConfigError
        If the model has no such mask, or has tensors without these axes.
    """

    fills_up = True

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        self.max_events, self.max_bytes = config.max_events, config.max_bytes
        self.max_batch_size = metadata.max_batch_size
        self._metadata = metadata
        self._padding_value = config.padding_value
        self._mask = _mask_of(metadata, config.mask)
        inputs = [spec for spec in metadata.inputs if spec.name != config.mask]
        for spec in (*inputs, *metadata.outputs):
            if spec.shape[:1] != (-1,):
                raise ConfigError(f"{_where(metadata)}: first axis is not free: {spec}")
        self._ragged = frozenset(s.name for s in inputs if s.shape[1:2] == (-1,))
        if not self._ragged:
            raise ConfigError(f"{_where(metadata)}: no input has a free second axis")
        # What one request gives is what the message has, less the events' axis;
        # a ragged input comes first, because its length is that of the request.
        inputs.sort(key=lambda spec: spec.name not in self._ragged)
        self._specs = required([replace(spec, shape=spec.shape[1:]) for spec in inputs])
        self._row_outputs = frozenset(
            spec.name for spec in metadata.outputs if spec.shape[1:2] == (-1,)
        )
        if variable := [n for n in sorted(self._row_outputs) if config.is_variable(n)]:
            raise ConfigError(
                f"{_where(metadata)}: an output of variable length cannot be told "
                f"apart by event: {', '.join(variable)}; use 'per_event'"
            )

        self._empty = empty_rows(
            [replace(spec, shape=spec.shape[1:]) for spec in metadata.outputs],
            self._row_outputs,
        )

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata, less the events' axis.

        All inputs that are filled up must have equally many rows.
        """
        checked = check_request(request, self._specs, self._metadata)
        if checked.error is not None:
            return checked
        mismatches = [
            Mismatch(name, f"{checked.n_rows} rows", f"{len(array)} rows")
            for name, array in request.inputs.items()
            if name in self._ragged and len(array) != checked.n_rows
        ]
        if mismatches:
            return refuse_request(request, mismatches, self._metadata)
        n_bytes = checked.n_bytes + checked.n_rows * self._mask.dtype.itemsize
        return replace(checked, n_bytes=n_bytes)

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the filled-up inputs and their mask."""
        n_max = max(item.n_rows for item in batch)
        joined = {
            spec.name: self._stack(
                [item.request.inputs[spec.name] for item in batch], spec, n_max
            )
            for spec in self._specs
        }
        mask = np.zeros((len(batch), n_max), self._mask.dtype)
        for row, item in zip(mask, batch, strict=True):
            row[: item.n_rows] = 1
        joined[self._mask.name] = mask
        return joined

    # Any: a tensor may hold any element type.
    def _stack(
        self, arrays: Sequence[NDArray[Any]], spec: TensorSpec, n_max: int
    ) -> NDArray[Any]:
        if spec.name not in self._ragged:
            return np.stack(arrays)
        fill = b"" if spec.datatype == "BYTES" else self._padding_value
        stacked = np.full(
            (len(arrays), n_max, *arrays[0].shape[1:]), fill, dtype=spec.dtype
        )
        for target, array in zip(stacked, arrays, strict=True):
            target[: len(array)] = array
        return stacked

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs whose axes of events and rows are not the inputs'."""
        n_events, n_max = len(batch), max(item.n_rows for item in batch)
        mismatches = []
        for name, array in outputs.items():
            axes = (n_events, n_max) if name in self._row_outputs else (n_events,)
            if array.shape[: len(axes)] != axes:
                expected = " x ".join(map(str, axes))
                what = "events x rows" if len(axes) == 2 else "events"
                mismatches.append(
                    Mismatch(name, f"{expected} {what} first", form_of(array))
                )
        return mismatches

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return each request's own rows or element of every output, as views."""
        return [
            {
                name: array[i, : item.n_rows]
                if name in self._row_outputs
                else array[i, ...]
                for name, array in outputs.items()
            }
            for i, item in enumerate(batch)
        ]

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        return None if item.n_rows else self._empty

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return the request whole: its rows belong together."""
        return [item]


def _mask_of(metadata: ModelMetadata, name: str) -> TensorSpec:
    for spec in metadata.inputs:
        if spec.name == name:
            if spec.shape != (-1, -1) or spec.datatype not in _MASK_DATATYPES:
                raise ConfigError(
                    f"{_where(metadata)}: the mask must be a number or BOOL [-1,-1], "
                    f"got {spec}"
                )
            return spec
    inputs = ", ".join(map(str, metadata.inputs))
    raise ConfigError(
        f"{_where(metadata)}: no input {name} [-1,-1] for the mask, the inputs are "
        f"{inputs}"
    )


def _where(metadata: ModelMetadata) -> str:
    return f"layout 'padded' of model {metadata.name!r}"
