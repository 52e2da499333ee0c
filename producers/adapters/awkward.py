"""Awkward and numpy arrays through a model: nested in, nested out, counts kept.

`infer_awkward` is for arrays of events; the other functions serve the adapters of
coffea and dask-awkward, whose arrays may also be one tensor each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any, Literal, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers.model.errors import ArrayFailedError
from producers.model.results import FailurePolicy
from producers.model.types import AnyArray, Untyped
from sonic_base import ConfigError, nearest_names
from sonic_client import (
    Answer,
    Client,
    Failure,
    ModelMetadata,
    Request,
    Tensors,
    TensorSpec,
)

__all__ = [
    "check_outputs",
    "infer_arrays",
    "infer_awkward",
    "infer_rows",
    "is_by_event",
    "types_of_outputs",
]

OnUnanswered: TypeAlias = Callable[[ArrayFailedError], object]


def infer_awkward(
    client: Client,
    inputs: Mapping[str, Untyped],
    *,
    on_failure: Literal["raise", "mask"] = "raise",
    on_unanswered: OnUnanswered | None = None,
) -> dict[str, Untyped]:
    """Return a model's outputs for events in awkward arrays.

    Parameters
    ----------
    client : sonic_client.Client
        Open; its layout, window, retries and cast policy apply (awkward arrays are
        often float64).
    inputs : mapping of str to awkward array
        By input of the model; the length of each is the number of events. An event's
        element is its tensor: type ``n * var * float32`` gives ``[-1]``,
        ``n * var * 3 * float32`` gives ``[-1,3]``.
    on_failure : {"raise", "mask"}
        Raise the error of an event without an answer, or make its outputs None.
    on_unanswered : callable, optional
        With "mask", called with the error of each such event.

    Returns
    -------
    dict of str to awkward array, each of length n_events
        By output of the model. An output with a free first axis is a list per event,
        of its own length; others are of one shape.

    Raises
    ------
    ConfigError
        If the inputs differ in their number of events, or have nested lists where a
        tensor has an axis of fixed length.
    ArrayFailedError
        With ``on_failure="raise"``, for the first event that failed; the client's
        error is its cause.
    """
    columns = {name: _FlatInput(name, array) for name, array in inputs.items()}
    n_events = _common_length(columns, "events")
    requests = (
        Request(i, {name: column[i] for name, column in columns.items()})
        for i in range(n_events)
    )
    answers: list[Tensors | None] = []
    for outcome in client.map(requests):
        if isinstance(outcome, Answer):
            # Copied, so that an event does not keep its whole message in memory.
            copied = {name: array.copy() for name, array in outcome.outputs.items()}
            answers.append(copied)
            continue
        part = f"event {len(answers)} of {n_events}"
        _report_failure(client, part, outcome, on_failure, on_unanswered)
        answers.append(None)
    return {
        spec.name: _nested_output(spec, answers) for spec in client.metadata.outputs
    }


def infer_arrays(
    client: Client,
    inputs: Mapping[str, Untyped],
    *,
    batch_size: int = -1,
    on_failure: FailurePolicy = "raise",
    fill: Any = 0,
    on_unanswered: OnUnanswered | None = None,
) -> dict[str, Untyped]:
    """Return a model's outputs as awkward arrays, by name.

    Raises
    ------
    ConfigError
        If the arrays do not fit the model.
    ArrayFailedError
        With ``on_failure="raise"``, for the first request that failed; with another
        policy, `on_unanswered` is called with the error of each of them.
    """
    if is_by_event(inputs, client.metadata):
        return _by_event(client, inputs, on_failure, fill, on_unanswered)
    rows, is_answered = infer_rows(
        client,
        {name: np.asarray(ak.to_numpy(array)) for name, array in inputs.items()},
        batch_size=batch_size,
        on_failure=on_failure,
        fill=fill,
        on_unanswered=on_unanswered,
    )
    arrays = {name: ak.from_numpy(array) for name, array in rows.items()}
    if on_failure != "skip":
        return arrays
    return {name: ak.mask(array, is_answered) for name, array in arrays.items()}


def types_of_outputs(
    metadata: ModelMetadata, *, by_event: bool, on_failure: FailurePolicy
) -> dict[str, Untyped]:
    """Return arrays without events, of the types that `infer_arrays` returns."""
    arrays = {}
    for spec in metadata.outputs:
        if by_event:
            array = _nested_output(spec, [])
        else:
            shape = (0, *(max(n, 0) for n in spec.shape[1:]))
            array = ak.from_numpy(np.empty(shape, spec.dtype))
        arrays[spec.name] = _optional(array) if on_failure == "skip" else array
    return arrays


def infer_rows(
    client: Client,
    inputs: Mapping[str, AnyArray],
    *,
    batch_size: int = -1,
    on_failure: FailurePolicy = "raise",
    fill: Any = 0,
    on_unanswered: OnUnanswered | None = None,
) -> tuple[dict[str, AnyArray], NDArray[np.bool_]]:
    """Return a model's outputs for rows, and which rows have an answer.

    A model that takes a batch gets at most `batch_size` rows per request, several
    requests at once, never padded; any other model gets all rows in one request,
    because they belong together. Without rows nothing is sent.

    Parameters
    ----------
    client : sonic_client.Client
    inputs : mapping of str to ndarray, shape (n_rows, ...)
        By input of the model, with equal numbers of rows.
    batch_size : int
        Rows per request if the model takes a batch; the model's maximum if negative.
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
    n_rows = _common_length(inputs, "rows")
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
        _report_failure(client, part, outcome, on_failure, on_unanswered)
        is_answered[rows] = False
        value = fill if on_failure == "fill" else 0
        parts.append(_stand_in(client, rows.stop - rows.start, value))
    return {
        spec.name: np.concatenate([_blank(spec, 0), *(p[spec.name] for p in parts)])
        for spec in client.metadata.outputs
    }, is_answered


def is_by_event(inputs: Mapping[str, Untyped], metadata: ModelMetadata) -> bool:
    """Whether the arrays hold a tensor per event, rather than one tensor each.

    An array with as many axes as the model's tensor is that tensor; with one more,
    its first axis counts events.

    Raises
    ------
    ConfigError
        If an input is missing or unknown, or has another number of axes.
    """
    specs = {spec.name: spec for spec in metadata.inputs}
    for name in inputs:
        if name not in specs:
            raise ConfigError(
                f"model {metadata.name!r} has no input {name!r}, "
                f"{nearest_names(name, specs)}"
            )
    extra = {}
    for name, spec in specs.items():
        if name not in inputs:
            if spec.optional:
                continue
            raise ConfigError(f"input {spec} of model {metadata.name!r} is missing")
        extra[name] = inputs[name].ndim - len(spec.shape)
    if len(set(extra.values())) != 1 or not set(extra.values()) <= {0, 1}:
        axes = ", ".join(f"{specs[n]}: {inputs[n].ndim} axes" for n in extra)
        raise ConfigError(
            f"model {metadata.name!r}: expected the axes of its inputs, or one more "
            f"for the events, got {axes}"
        )
    return 1 in extra.values()


def check_outputs(names: Iterable[str], metadata: ModelMetadata) -> None:
    """Raise ConfigError unless the model has these outputs."""
    known = [spec.name for spec in metadata.outputs]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"model {metadata.name!r} has no output {name!r}, "
                f"{nearest_names(name, known)}"
            )


def _by_event(
    client: Client,
    inputs: Mapping[str, Untyped],
    on_failure: FailurePolicy,
    fill: Any,
    on_unanswered: OnUnanswered | None,
) -> dict[str, Untyped]:
    if on_failure == "raise":
        return infer_awkward(client, inputs)
    outputs = infer_awkward(
        client, inputs, on_failure="mask", on_unanswered=on_unanswered
    )
    if on_failure == "skip":
        # Also if all were answered, because partitions must be of one type.
        return {name: _optional(array) for name, array in outputs.items()}
    counts = ak.to_numpy(ak.num(next(iter(inputs.values())), axis=1))
    return {
        spec.name: _filled(outputs[spec.name], counts, fill, spec.shape[:1] == (-1,))
        for spec in client.metadata.outputs
    }


def _optional(array: Untyped) -> Untyped:
    return ak.mask(array, ~ak.is_none(array))


def _filled(array: Untyped, counts: AnyArray, fill: Any, is_list: bool) -> Untyped:
    """Put `fill` where there is no answer: once per row of the input, or per event."""
    is_missing = ak.to_numpy(ak.is_none(array))
    if not is_missing.any():
        return ak.drop_none(array, axis=0)
    answers = ak.drop_none(array, axis=0)
    missing = np.flatnonzero(is_missing)
    rows = ak.flatten(answers, axis=1) if is_list else answers
    shape = ak.to_numpy(rows[:0]).shape[1:]
    n_rows = int(counts[missing].sum()) if is_list else len(missing)
    blank = ak.from_numpy(np.full((n_rows, *shape), fill, ak.to_numpy(rows[:0]).dtype))
    blank = ak.unflatten(blank, counts[missing]) if is_list else blank
    order = np.argsort(np.concatenate((np.flatnonzero(~is_missing), missing)))
    return ak.concatenate((answers, blank))[order]


def _batches(n_rows: int, max_batch_size: int, batch_size: int) -> list[slice]:
    if batch_size == 0:
        raise ConfigError("batch_size must be at least 1, or negative, got 0")
    if max_batch_size == 0:
        return [slice(0, n_rows)] if n_rows else []
    size = max_batch_size if batch_size < 0 else min(batch_size, max_batch_size)
    return [slice(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]


def _stand_in(client: Client, n_rows: int, value: Any) -> Tensors:
    outputs: dict[str, AnyArray] = {}
    for spec in client.metadata.outputs:
        outputs[spec.name] = _blank(spec, n_rows)
        outputs[spec.name][...] = value
    return outputs


def _blank(spec: TensorSpec, n_rows: int) -> AnyArray:
    return np.zeros((n_rows, *(max(n, 0) for n in spec.shape[1:])), spec.dtype)


def _common_length(arrays: Mapping[str, Sized], unit: str) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"expected inputs of one length, got {lengths} {unit}")
    return next(iter(lengths.values()))


def _report_failure(
    client: Client,
    part: str,
    failure: Failure,
    on_failure: str,
    on_unanswered: OnUnanswered | None,
) -> None:
    """Raise the error of a part of an array, or hand it to the caller's function."""
    error = ArrayFailedError(
        model=client.metadata.name,
        part=part,
        reason=str(failure.error),
        servers=failure.servers,
    )
    if on_failure == "raise":
        raise error from failure.error
    error.__cause__ = failure.error
    if on_unanswered is not None:
        on_unanswered(error)


class _FlatInput:
    """An awkward array as one numpy array and the offsets of its events."""

    def __init__(self, name: str, array: Untyped) -> None:
        events = ak.Array(array)
        if events.ndim < 2:
            raise ConfigError(
                f"input {name!r}: expected a list per event, got {events.type}"
            )
        self._row_splits = np.zeros(len(events) + 1, np.int64)
        np.cumsum(ak.to_numpy(ak.num(events, axis=1)), out=self._row_splits[1:])
        try:
            self._rows: AnyArray = ak.to_numpy(
                ak.flatten(events, axis=1), allow_missing=False
            )
        except ValueError as error:
            raise ConfigError(
                f"input {name!r} of type {events.type}: expected axes of fixed length "
                f"after that of the rows: {error}"
            ) from error

    def __len__(self) -> int:
        return len(self._row_splits) - 1

    def __getitem__(self, event: int) -> AnyArray:
        return self._rows[self._row_splits[event] : self._row_splits[event + 1]]


def _nested_output(spec: TensorSpec, answers: Sequence[Tensors | None]) -> Untyped:
    """Return an output of several events, one element each; None without an answer."""
    is_answered = np.array([answer is not None for answer in answers], dtype=bool)
    is_free = spec.shape[:1] == (-1,)
    shape = tuple(max(n, 0) for n in (spec.shape[1:] if is_free else spec.shape))
    blank = np.empty((0, *shape) if is_free else shape, spec.dtype)
    arrays = [blank if answer is None else answer[spec.name] for answer in answers]
    if is_free:
        rows = np.concatenate([np.empty((0, *shape), spec.dtype), *arrays])
        counts = np.array([len(array) for array in arrays], dtype=np.int64)
        nested = ak.unflatten(_content(rows), counts)
    else:
        stacked = np.stack(arrays) if arrays else np.empty((0, *shape), spec.dtype)
        nested = _content(stacked)
    return nested if is_answered.all() else ak.mask(nested, is_answered)


def _content(rows: AnyArray) -> Untyped:
    # Strings are numpy objects, which awkward takes only as a list.
    return ak.Array(rows.tolist()) if rows.dtype == object else ak.Array(rows)
