"""What a server needs to know of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]
TensorSpec = tuple[str, str, tuple[int, ...]]
"""Name, KServe datatype, shape with -1 for a free dimension."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A function of named tensors, and how a server declares it.

    ``max_batch_size`` is always 0: the first dimension is space points or edges.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, str]
    """Feature names and scales, cuts, weights id: a client reads them."""
    function: Callable[[Tensors], dict[str, NDArray[Any]]]
    """Raises `ValueError` if the tensors are not what the model can work on."""
