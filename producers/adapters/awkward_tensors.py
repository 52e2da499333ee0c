"""Awkward arrays through a model: each one tensor, or one tensor an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import awkward as ak
import numpy as np

from producers.adapters.rows import infer_rows
from producers.awkward_inference import AwkwardClient, infer_awkward, nested_output
from producers.model.errors import ArrayFailedError
from producers.model.results import FailurePolicy
from sonic_base.errors import ConfigError, nearest_names
from sonic_client.types import ModelMetadata

__all__ = ["check_outputs", "infer_arrays", "is_by_event", "types_of_outputs"]


# Any, here and below: awkward has no type information.
def is_by_event(inputs: Mapping[str, Any], metadata: ModelMetadata) -> bool:
    """Whether the arrays hold a tensor an event, rather than one tensor each.

    An array with as many axes as the model's tensor is that tensor; with one more,
    its first axis counts events.

    Raises
    ------
    ConfigError
        If an input is missing or not the model's, or its axes are neither.
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
            f"model {metadata.name!r}: expected the axes of its inputs, or one "
            f"more that counts events; got {axes}"
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


def infer_arrays(
    client: AwkwardClient,
    inputs: Mapping[str, Any],
    *,
    batch_size: int = -1,
    on_failure: FailurePolicy = "raise",
    fill: Any = 0,
    on_unanswered: Callable[[ArrayFailedError], object] | None = None,
) -> dict[str, Any]:
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
) -> dict[str, Any]:
    """Return arrays without events, of the types that `infer_arrays` gives."""
    arrays = {}
    for spec in metadata.outputs:
        if by_event:
            array = nested_output(spec, [])
        else:
            shape = (0, *(max(n, 0) for n in spec.shape[1:]))
            array = ak.from_numpy(np.empty(shape, spec.dtype))
        arrays[spec.name] = _optional(array) if on_failure == "skip" else array
    return arrays


def _by_event(
    client: AwkwardClient,
    inputs: Mapping[str, Any],
    on_failure: FailurePolicy,
    fill: Any,
    on_unanswered: Callable[[ArrayFailedError], object] | None,
) -> dict[str, Any]:
    if on_failure == "raise":
        return infer_awkward(client, inputs)
    outputs = infer_awkward(
        client, inputs, on_failure="mask", on_unanswered=on_unanswered
    )
    if on_failure == "skip":
        # Also where all were answered: partitions must be of one type.
        return {name: _optional(array) for name, array in outputs.items()}
    counts = ak.to_numpy(ak.num(next(iter(inputs.values())), axis=1))
    return {
        spec.name: _filled(outputs[spec.name], counts, fill, spec.shape[:1] == (-1,))
        for spec in client.metadata.outputs
    }


def _optional(array: Any) -> Any:
    return ak.mask(array, ~ak.is_none(array))


def _filled(array: Any, counts: Any, fill: Any, is_list: bool) -> Any:
    """Put `fill` where no answer is: a value a row of the input, or one an event."""
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
