"""Comparison of tensors with what a model declares, all differences at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sonic_base.errors import nearest_names
from sonic_client.errors import Mismatch
from sonic_client.types import Tensors, TensorSpec, datatype_of

__all__ = ["find_input_mismatches", "find_output_mismatches", "form_of"]


def form_of(array: object) -> str:
    """Return type and shape of an array as text, e.g. ``FP32[47,3]``."""
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    return f"{datatype_of(array.dtype)}[{','.join(map(str, array.shape))}]"


def find_input_mismatches(
    inputs: Tensors, specs: Sequence[TensorSpec], *, max_batch_size: int
) -> list[Mismatch]:
    """Compare a request's tensors with the model's inputs.

    Byte order does not matter, memory layout neither: both are put right when
    the message is written. Nothing is cast.
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
        if not _is_of(array, spec):
            mismatches.append(Mismatch(spec.name, spec.form, form_of(array)))
        elif max_batch_size and array.shape[0] > max_batch_size:
            expected = f"at most {max_batch_size} rows"
            mismatches.append(Mismatch(spec.name, expected, f"{array.shape[0]} rows"))
        elif array.dtype == object and (strange := _strange_element(array)):
            mismatches.append(Mismatch(spec.name, "elements of type bytes", strange))
    if n_known < len(inputs):
        known = {spec.name for spec in specs}
        mismatches += [
            Mismatch(name, "no such input", f"{form_of(array)}; {nearest}")
            for name, array in inputs.items()
            if name not in known
            for nearest in [nearest_names(name, known)]
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
        elif not _is_of(array, spec):
            mismatches.append(Mismatch(spec.name, spec.form, form_of(array)))
    return mismatches


def _is_of(array: object, spec: TensorSpec) -> bool:
    return (
        isinstance(array, np.ndarray)
        # The first comparison is the fast one, for what is nearly always given.
        and (array.dtype == spec.dtype or datatype_of(array.dtype) == spec.datatype)
        and spec.admits(array.shape)
    )


# Any: an object array may hold anything; that is what is looked for.
def _strange_element(array: NDArray[Any]) -> str:
    """Return the type of the first element that is no byte string or text."""
    for element in array.flat:
        if not isinstance(element, bytes | str):
            return type(element).__name__
    return ""
