"""Tensors compared with what a model declares, all differences at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sonic_base import nearest_names
from sonic_client.config import CastPolicy
from sonic_client.errors import Mismatch, TensorMismatchError
from sonic_client.types import (
    AnyArray,
    ModelMetadata,
    Request,
    Tensors,
    TensorSpec,
    datatype_of,
    payload_bytes,
)

__all__ = [
    "CheckedRequest",
    "cast_inputs",
    "check_request",
    "find_input_mismatches",
    "find_output_mismatches",
    "form_of",
    "refuse_request",
]


@dataclass(slots=True, eq=False, kw_only=True)
class CheckedRequest:
    """A request that was compared with the model's metadata.

    Attributes
    ----------
    request : Request
    n_rows : int
        Length of the first input's first axis.
    n_bytes : int
        Bytes of its tensors in a message; 0 if it is not sent.
    batch_size : int
        Its part of the message's batch dimension, where the model has one.
    kind : hashable
        Only requests of one kind can share a message: requests of one shape, where
        the layout stacks them.
    error : TensorMismatchError or None
        Why it cannot be sent.
    """

    request: Request
    n_rows: int = 0
    n_bytes: int = 0
    batch_size: int = 1
    kind: Hashable = None
    error: TensorMismatchError | None = None


def check_request(
    request: Request,
    specs: Sequence[TensorSpec],
    metadata: ModelMetadata,
    *,
    max_batch_size: int = 0,
) -> CheckedRequest:
    """Compare a request with the inputs of its model.

    Parameters
    ----------
    specs : sequence of TensorSpec
        Inputs of one request, which may differ from those of a message.
    max_batch_size : int
        Bound of the first axis, or 0 for none.
    """
    mismatches = find_input_mismatches(
        request.inputs, specs, max_batch_size=max_batch_size
    )
    if mismatches:
        return refuse_request(request, mismatches, metadata)
    first = request.inputs.get(specs[0].name) if specs else None
    return CheckedRequest(
        request=request,
        n_rows=len(first) if first is not None and first.ndim else 0,
        n_bytes=payload_bytes(request.inputs),
    )


def refuse_request(
    request: Request, mismatches: Sequence[Mismatch], metadata: ModelMetadata
) -> CheckedRequest:
    """Return the request with the error for its mismatches."""
    error = TensorMismatchError(model=metadata.name, mismatches=mismatches)
    return CheckedRequest(request=request, error=error)


def find_input_mismatches(
    inputs: Tensors, specs: Sequence[TensorSpec], *, max_batch_size: int
) -> list[Mismatch]:
    """Compare a request's tensors with the model's inputs.

    Byte order and memory layout may be any: both are converted when the message is
    written. Element types are not converted.
    """
    mismatches = []
    n_known = 0
    for spec in specs:
        array = inputs.get(spec.name)
        if array is None:
            if not spec.optional:
                mismatches.append(Mismatch(spec.name, spec.form, "nothing"))
            continue
        n_known += 1
        if not _fits(array, spec):
            mismatches.append(Mismatch(spec.name, spec.form, form_of(array)))
        elif max_batch_size and array.shape[0] > max_batch_size:
            expected = f"at most {max_batch_size} rows"
            mismatches.append(Mismatch(spec.name, expected, f"{array.shape[0]} rows"))
        elif array.dtype == object and (wrong := _wrong_element(array)):
            mismatches.append(Mismatch(spec.name, "elements of type bytes", wrong))
    if n_known < len(inputs):
        known = {spec.name for spec in specs}
        mismatches += [
            Mismatch(
                name, "no such input", f"{form_of(array)}; {nearest_names(name, known)}"
            )
            for name, array in inputs.items()
            if name not in known
        ]
    return mismatches


def find_output_mismatches(
    outputs: Tensors, specs: Sequence[TensorSpec]
) -> list[Mismatch]:
    """Compare an answer's tensors with the model's outputs; others are ignored."""
    mismatches = []
    for spec in specs:
        array = outputs.get(spec.name)
        if array is None:
            mismatches.append(Mismatch(spec.name, spec.form, "nothing"))
        elif not _fits(array, spec):
            mismatches.append(Mismatch(spec.name, spec.form, form_of(array)))
    return mismatches


def form_of(array: object) -> str:
    """Return type and shape of an array as text, e.g. ``FP32[47,3]``."""
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    return f"{datatype_of(array.dtype)}[{','.join(map(str, array.shape))}]"


def _fits(array: object, spec: TensorSpec) -> bool:
    return (
        isinstance(array, np.ndarray)
        # The first comparison is the faster one, and nearly always true.
        and (array.dtype == spec.dtype or datatype_of(array.dtype) == spec.datatype)
        and spec.admits(array.shape)
    )


def _wrong_element(array: AnyArray) -> str:
    """Return the type of the first element that is neither bytes nor text."""
    for element in array.flat:
        if not isinstance(element, bytes | str):
            return type(element).__name__
    return ""


def cast_inputs(
    request: Request, specs: Mapping[str, TensorSpec], policy: CastPolicy
) -> Request:
    """Return the request with its arrays in the types that the model declares.

    ``safe`` and ``same_kind`` are numpy's rules: the first loses no value, the
    second may lose precision, as from float64 to float32. Arrays that the rule does
    not allow to cast are left as they are, so that the check names them.
    """
    if policy == "refuse":
        return request
    cast = {
        name: array.astype(specs[name].dtype)
        for name, array in request.inputs.items()
        if name in specs and _needs_cast(array, specs[name].dtype, policy)
    }
    if not cast:
        return request
    return Request(request.request_id, {**request.inputs, **cast})


def _needs_cast(
    array: object, dtype: np.dtype[Any], policy: Literal["safe", "same_kind"]
) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype != dtype
        and np.can_cast(array.dtype, dtype, policy)
    )
