"""One call on awkward arrays: nested in, nested out, counts kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers.model.errors import ArrayFailedError
from sonic_base.errors import ConfigError
from sonic_client.types import (
    Answer,
    Failure,
    ModelMetadata,
    Outcome,
    Request,
    Tensors,
    TensorSpec,
)

__all__ = [
    "AwkwardClient",
    "OnFailure",
    "array_failed",
    "infer_awkward",
    "nested_output",
]

OnFailure: TypeAlias = Literal["raise", "mask"]


class AwkwardClient(Protocol):
    """What is needed of a client: an open `sonic_client.Client` is one."""

    @property
    def metadata(self) -> ModelMetadata:
        """The model's tensors."""

    def map(
        self, requests: Iterable[Request], *, ordered: bool = True
    ) -> Iterator[Outcome]:
        """Yield one outcome a request, in order."""


# Any: awkward has no type information.
def infer_awkward(
    client: AwkwardClient,
    inputs: Mapping[str, Any],
    *,
    on_failure: OnFailure = "raise",
    on_unanswered: Callable[[ArrayFailedError], object] | None = None,
) -> dict[str, Any]:
    """Return a model's outputs for events in awkward arrays.

    Parameters
    ----------
    client : sonic_client.Client
        Open; its layout, window and retries apply. Cast policy is its own: awkward
        arrays are often float64.
    inputs : mapping of str to awkward array
        By input of the model; all of one length, the number of events. Each event's
        element is its tensor: type ``n * var * float32`` gives ``[-1]``,
        ``n * var * 3 * float32`` gives ``[-1,3]``.
    on_failure : {"raise", "mask"}
        What becomes of an event without an answer: its error is raised, or its
        outputs are None.
    on_unanswered : callable, optional
        With "mask", called with the error of each such event.

    Returns
    -------
    dict of str to awkward array, each of length n_events
        By output of the model. An output with a free first axis is a list an event,
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
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"inputs must have as many events as each other: {lengths}")
    n_events = next(iter(lengths.values()))
    requests = (
        Request(i, {name: column[i] for name, column in columns.items()})
        for i in range(n_events)
    )
    answers: list[Tensors | None] = []
    for outcome in client.map(requests):
        if isinstance(outcome, Failure):
            part = f"event {len(answers)} of {n_events}"
            error = array_failed(client.metadata.name, part, outcome)
            if on_failure == "raise":
                raise error
            if on_unanswered is not None:
                on_unanswered(error)
        # Copied, so that an event does not keep the message that it came in.
        answers.append(
            {name: array.copy() for name, array in outcome.outputs.items()}
            if isinstance(outcome, Answer)
            else None
        )
    return {spec.name: nested_output(spec, answers) for spec in client.metadata.outputs}


def array_failed(model: str, part: str, failure: Failure) -> ArrayFailedError:
    """Return the error that says which part of an array has no answer, and why."""
    error = ArrayFailedError(
        model=model, part=part, reason=str(failure.error), servers=failure.servers
    )
    error.__cause__ = failure.error
    return error


class _FlatInput:
    """An awkward array as one numpy array and the offsets of its events."""

    def __init__(self, name: str, array: Any) -> None:
        events = ak.Array(array)
        if events.ndim < 2:
            raise ConfigError(
                f"input {name!r}: expected a list an event, got {events.type}"
            )
        self._row_splits = np.zeros(len(events) + 1, np.int64)
        np.cumsum(ak.to_numpy(ak.num(events, axis=1)), out=self._row_splits[1:])
        try:
            # Any: of any element type.
            self._rows: NDArray[Any] = ak.to_numpy(
                ak.flatten(events, axis=1), allow_missing=False
            )
        except ValueError as error:
            raise ConfigError(
                f"input {name!r} of type {events.type}: all axes but that of the rows "
                f"must be of fixed length: {error}"
            ) from error

    def __len__(self) -> int:
        return len(self._row_splits) - 1

    def __getitem__(self, event: int) -> NDArray[Any]:
        return self._rows[self._row_splits[event] : self._row_splits[event + 1]]


def nested_output(spec: TensorSpec, answers: Sequence[Tensors | None]) -> Any:
    """Return an output of several events, one element each; None where none came."""
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


def _content(rows: NDArray[Any]) -> Any:
    # numpy's strings are objects, which awkward reads one by one.
    return ak.Array(rows.tolist()) if rows.dtype == object else ak.Array(rows)
