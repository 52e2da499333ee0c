"""The layouts: how requests become the tensors of one message, and answers theirs.

All of it is pure: nothing here sends or waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sonic_base import ConfigError
from sonic_client.batching.checks import (
    CheckedRequest,
    check_request,
    form_of,
    refuse_request,
)
from sonic_client.config import BatchingConfig, ClientConfig
from sonic_client.errors import Mismatch
from sonic_client.types import AnyArray, ModelMetadata, Request, Tensors, TensorSpec

__all__ = [
    "BatchingLayout",
    "ConcatLayout",
    "PaddedLayout",
    "PerEventLayout",
    "RectangularLayout",
    "layout_of",
]

# A mask has one number per row.
_MASK_DATATYPES = ("BOOL", "UINT8", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64")


class BatchingLayout(ABC):
    """A way to lay out requests in messages to one model.

    Attributes
    ----------
    max_events, max_bytes : int
        Configured bounds of one message. A single request may exceed the bytes.
    max_batch_size : int
        Declared bound of the batch dimension; 0 if there is none.
    pads : bool
        Whether each request takes as many bytes of a message as the largest.

    Raises
    ------
    ConfigError
        If the model cannot take the layout.
    """

    pads: ClassVar[bool] = False
    _empty: Tensors | None
    """Outputs of a request without rows; None if they may have some."""

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        self.max_events, self.max_bytes = config.max_events, config.max_bytes
        self.max_batch_size = metadata.max_batch_size
        self._metadata = metadata

    @abstractmethod
    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata."""

    @abstractmethod
    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the inputs of one message for requests of one kind."""

    @abstractmethod
    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs whose rows are not those of the inputs."""

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return the outputs of each request, as views."""
        return [
            {name: array[start:stop] for name, array in outputs.items()}
            for start, stop in pairwise(_row_splits(batch).tolist())
        ]

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        return None if item.n_rows else self._empty

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return parts of a request that each fit the batch dimension.

        Only the request itself, unless its rows are independent of each other.
        """
        return [item]

    def _check_equal_rows(
        self, checked: CheckedRequest, names: Container[str], unit: str = "rows"
    ) -> CheckedRequest:
        """Refuse a request whose named inputs have not all `n_rows` rows."""
        if checked.error is not None:
            return checked
        n_rows = checked.n_rows
        mismatches = [
            Mismatch(name, f"{n_rows} {unit}", f"{len(array)} rows")
            for name, array in checked.request.inputs.items()
            if name in names and len(array) != n_rows
        ]
        if mismatches:
            return refuse_request(checked.request, mismatches, self._metadata)
        return checked


class PerEventLayout(BatchingLayout):
    """One message per request: right for every model.

    Outputs with a free first axis must have as many rows as one of the inputs
    with a free first axis, unless they are among `variable_outputs`.
    """

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        super().__init__(metadata, config)
        self.max_events, self.max_bytes, self.max_batch_size = 1, 0, 0
        self._row_inputs = [s.name for s in metadata.inputs if s.shape[:1] == (-1,)]
        self._row_outputs = frozenset(
            spec.name
            for spec in metadata.outputs
            if spec.shape[:1] == (-1,) and not config.is_variable(spec.name)
        )
        self._empty = _empty_rows(metadata.outputs, self._row_outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata."""
        return check_request(
            request,
            self._metadata.inputs,
            self._metadata,
            max_batch_size=self._metadata.max_batch_size,
        )

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the only request's inputs, without a copy."""
        (only,) = batch
        return only.request.inputs

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have not the rows of any input."""
        (only,) = batch
        inputs = only.request.inputs
        allowed = [len(inputs[name]) for name in self._row_inputs if name in inputs]
        if not allowed:
            return []
        return _find_row_mismatches(outputs, allowed, names=self._row_outputs)

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return the outputs as those of the only request."""
        return [outputs]

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        inputs = item.request.inputs
        if any(len(inputs[name]) for name in self._row_inputs if name in inputs):
            return None
        return self._empty if self._row_inputs else None


class ConcatLayout(BatchingLayout):
    """Requests joined along their first axis, separated by row splits.

    Row splits are offsets: request i has the rows from ``row_splits[i]`` to
    ``row_splits[i + 1]``. No request is ever cut.
    """

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        super().__init__(metadata, config)
        self._row_splits = config.row_splits
        self._specs = _required(
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
        _require_free_first_axis([*self._specs, *metadata.outputs], where)
        _refuse_variable(self._outputs, config, where)
        self._empty = _empty_rows(metadata.outputs, self._outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata.

        All its inputs must have equally many rows, because they share the row splits.
        """
        checked = check_request(request, self._specs, self._metadata)
        return self._check_equal_rows(checked, request.inputs)

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the joined inputs and their row splits.

        A single request's arrays are not copied.
        """
        return {**_joined(batch), self._row_splits: _row_splits(batch)}

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have not one row per input row."""
        n_rows = sum(item.n_rows for item in batch)
        return _find_row_mismatches(outputs, {n_rows}, names=self._outputs)


class PaddedLayout(BatchingLayout):
    """Requests of n rows in one array ``[n_events, n_max, ...]``, with a mask.

    Inputs whose second axis is free are padded to the longest request with
    `padding_value` (``BYTES`` with the empty string); others have one value per
    request and are stacked. The mask ``[n_events, n_max]`` is 1 for real rows. Of
    outputs with a free second axis, each request gets its own rows back; of others,
    its own element.
    """

    pads = True

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        super().__init__(metadata, config)
        self._padding_value = config.padding_value
        where = f"layout 'padded' of model {metadata.name!r}"
        self._mask = _mask_of(metadata, config.mask, where)
        inputs = [spec for spec in metadata.inputs if spec.name != config.mask]
        _require_free_first_axis([*inputs, *metadata.outputs], where)
        self._ragged = frozenset(s.name for s in inputs if s.shape[1:2] == (-1,))
        if not self._ragged:
            raise ConfigError(f"{where}: no input has a free second axis")
        # A request has the message's tensors without the axis of events. A ragged
        # input comes first, because its length is that of the request.
        inputs.sort(key=lambda spec: spec.name not in self._ragged)
        self._specs = _required(_without_events(inputs))
        self._row_outputs = frozenset(
            spec.name for spec in metadata.outputs if spec.shape[1:2] == (-1,)
        )
        _refuse_variable(self._row_outputs, config, where)
        self._empty = _empty_rows(_without_events(metadata.outputs), self._row_outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata, without the axis of events.

        All padded inputs must have equally many rows.
        """
        checked = check_request(request, self._specs, self._metadata)
        checked = self._check_equal_rows(checked, self._ragged)
        if checked.error is None:
            checked.n_bytes += checked.n_rows * self._mask.dtype.itemsize
        return checked

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the padded inputs and their mask."""
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

    def _stack(
        self, arrays: Sequence[AnyArray], spec: TensorSpec, n_max: int
    ) -> AnyArray:
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


class RectangularLayout(BatchingLayout):
    """Requests of equal shape joined along the batch dimension.

    Every tensor begins with the batch dimension, and its elements are independent
    of each other by Triton's contract. So a request larger than `max_batch_size`
    is cut, and its answers are joined.
    """

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        super().__init__(metadata, config)
        self._outputs = frozenset(spec.name for spec in metadata.outputs)
        if not metadata.max_batch_size:
            raise ConfigError(
                f"layout 'rectangular' of model {metadata.name!r}: it has "
                "max_batch_size 0, so no batch dimension; use 'per_event'"
            )
        self._empty = _empty_rows(metadata.outputs, self._outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata.

        All its inputs must have equally many elements of the batch.
        """
        checked = check_request(request, self._metadata.inputs, self._metadata)
        if checked.error is not None:
            return checked
        inputs = request.inputs
        n_elements = len(next(iter(inputs.values()))) if inputs else 0
        checked.n_rows = checked.batch_size = n_elements
        checked.kind = tuple(
            sorted((name, array.shape[1:]) for name, array in inputs.items())
        )
        return self._check_equal_rows(checked, inputs, "elements of the batch")

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the joined inputs; a single request's arrays are not copied."""
        return _joined(batch)

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have not one element per element of the batch."""
        n_elements = sum(item.batch_size for item in batch)
        return _find_row_mismatches(outputs, {n_elements}, names=self._outputs)

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return parts of a request of at most `max_batch_size` elements, as views."""
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


_LAYOUTS: dict[str, type[BatchingLayout]] = {
    "per_event": PerEventLayout,
    "concat": ConcatLayout,
    "padded": PaddedLayout,
    "rectangular": RectangularLayout,
}


def layout_of(config: ClientConfig, metadata: ModelMetadata) -> BatchingLayout:
    """Return the configured layout, if the model can take it.

    Raises
    ------
    ConfigError
        If it cannot, or if ``auto`` is not certain.
    """
    name: str = config.layout
    if name == "auto":
        name = _certain_layout(metadata, config.batching)
    return _LAYOUTS[name](metadata, config.batching)


def _certain_layout(metadata: ModelMetadata, config: BatchingConfig) -> str:
    """Return the layout that gives the same answers as one message per request.

    An input named like row splits or a mask may mean something else in this model,
    so only the caller can decide.
    """
    names = {spec.name for spec in metadata.inputs}
    if ambiguous := sorted(names & {config.row_splits, config.mask}):
        raise ConfigError(
            f"layout 'auto' of model {metadata.name!r}: input {ambiguous[0]!r} may be "
            "row splits or a mask, or belong to the event; "
            "say 'concat', 'padded' or 'per_event'"
        )
    # Elements of the batch dimension are independent by Triton's contract.
    return "rectangular" if metadata.max_batch_size else "per_event"


def _required(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Make all inputs required: the requests of a batch must have the same ones."""
    return tuple(replace(spec, optional=False) for spec in specs)


def _without_events(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return a message's tensors as those of one request."""
    return [replace(spec, shape=spec.shape[1:]) for spec in specs]


def _mask_of(metadata: ModelMetadata, name: str, where: str) -> TensorSpec:
    for spec in metadata.inputs:
        if spec.name == name:
            if spec.shape != (-1, -1) or spec.datatype not in _MASK_DATATYPES:
                raise ConfigError(
                    f"{where}: the mask must be a number or BOOL [-1,-1], got {spec}"
                )
            return spec
    inputs = ", ".join(map(str, metadata.inputs))
    raise ConfigError(
        f"{where}: no input {name} [-1,-1] for the mask, the inputs are {inputs}"
    )


def _require_free_first_axis(specs: Iterable[TensorSpec], where: str) -> None:
    for spec in specs:
        if spec.shape[:1] != (-1,):
            raise ConfigError(f"{where}: first axis is not free: {spec}")


def _refuse_variable(
    outputs: Iterable[str], config: BatchingConfig, where: str
) -> None:
    if variable := [name for name in sorted(outputs) if config.is_variable(name)]:
        raise ConfigError(
            f"{where}: an output of variable length cannot be told apart by "
            f"event: {', '.join(variable)}; use 'per_event'"
        )


def _joined(batch: Sequence[CheckedRequest]) -> Tensors:
    first = batch[0].request.inputs
    if len(batch) == 1:
        return first
    return {
        name: np.concatenate([item.request.inputs[name] for item in batch])
        for name in first
    }


def _row_splits(batch: Sequence[CheckedRequest]) -> NDArray[np.int64]:
    """Return the offsets of the requests' rows in a joined message.

    Returns
    -------
    ndarray, shape (n_requests + 1,), int64
        ``[0]`` for no requests.
    """
    row_splits = np.zeros(len(batch) + 1, dtype=np.int64)
    np.cumsum([item.n_rows for item in batch], out=row_splits[1:])
    return row_splits


def _find_row_mismatches(
    outputs: Tensors, allowed: Collection[int], *, names: Collection[str]
) -> list[Mismatch]:
    """Name the outputs among `names` that have another number of rows."""
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


def _empty_rows(
    specs: Iterable[TensorSpec], row_outputs: Container[str]
) -> Tensors | None:
    """Return outputs without rows, if all outputs have none for no input rows.

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
