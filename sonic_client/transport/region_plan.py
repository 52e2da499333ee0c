"""Which tensors of a call go through shared memory, and where: pure planning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sonic_client.transport.base import InferCall
from sonic_client.types import ModelMetadata, TensorSpec

__all__ = ["RegionPlan", "Span", "end_of", "plan_regions"]

# A cache line: models may read the values as vectors.
_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tensor lies in its region, in bytes."""

    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """The layout of one call's two regions.

    Attributes
    ----------
    inputs, outputs : mapping of str to Span
        The tensors that lie in them; the others travel in the message.
    """

    inputs: Mapping[str, Span]
    outputs: Mapping[str, Span]


def plan_regions(call: InferCall, metadata: ModelMetadata | None) -> RegionPlan:
    """Lay out what has a known, fixed size.

    Texts have none, and outputs only if the model declares their shape: entirely, or
    but for the batch dimension, which is that of the inputs.
    """
    inputs = {
        name: array.nbytes
        for name, array in call.inputs.items()
        if array.dtype.kind not in "OUS"
    }
    outputs = {}
    if metadata is not None:
        for spec in metadata.outputs:
            n_bytes = _known_bytes(spec, call, metadata)
            if n_bytes is not None:
                outputs[spec.name] = n_bytes
    return RegionPlan(inputs=_laid_out(inputs), outputs=_laid_out(outputs))


def end_of(spans: Mapping[str, Span]) -> int:
    """Return the bytes that a region must have; 0 if nothing lies in it."""
    return max((span.offset + span.n_bytes for span in spans.values()), default=0)


def _laid_out(sizes: Mapping[str, int]) -> dict[str, Span]:
    spans, start = {}, 0
    for name, n_bytes in sizes.items():
        if n_bytes:
            spans[name] = Span(start, n_bytes)
            start += -(-n_bytes // _ALIGNMENT) * _ALIGNMENT
    return spans


def _known_bytes(
    spec: TensorSpec, call: InferCall, metadata: ModelMetadata
) -> int | None:
    shape = spec.shape
    if metadata.max_batch_size and shape[:1] == (-1,):
        first = next(iter(call.inputs.values()), None)
        shape = (first.shape[0] if first is not None else -1, *shape[1:])
    if -1 in shape or spec.datatype == "BYTES":
        return None
    return math.prod(shape) * spec.dtype.itemsize
