"""Inputs of another element type than the model's, as far as the policy allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from sonic_client.config import CastPolicy
from sonic_client.types import Request, TensorSpec

__all__ = ["cast_inputs"]


def cast_inputs(
    request: Request, specs: Mapping[str, TensorSpec], policy: CastPolicy
) -> Request:
    """Return the request with its arrays in the types that the model declares.

    ``safe`` and ``same_kind`` are numpy's rules: the first loses no value, the
    second may lose precision, as float64 to float32. What the rule does not allow
    stays as it is, for the check to name. Byte order and memory layout are put
    right when the message is written, under every policy.
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


# object, Any: what is no array is for the check to name.
def _needs_cast(
    array: object, dtype: np.dtype[Any], policy: Literal["safe", "same_kind"]
) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype != dtype
        and np.can_cast(array.dtype, dtype, policy)
    )
