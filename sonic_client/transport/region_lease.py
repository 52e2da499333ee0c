"""The regions of one call: written before it, read after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sonic_client.errors import InvalidAnswerError, Mismatch
from sonic_client.transport.base import InferCall, InferReply, RegionSlice
from sonic_client.transport.raw_tensors import tensor_of
from sonic_client.transport.region_plan import RegionPlan, Span
from sonic_client.transport.regions import Region
from sonic_client.types import ModelMetadata, Tensors

__all__ = ["RegionLease"]

_NOWHERE = Span(0, 0)


@dataclass(slots=True)
class RegionLease:
    """The regions that a call has to itself until it is answered.

    Attributes
    ----------
    plan : RegionPlan
        What lies in them, and where.
    input, output : Region or None
        None if nothing lies there.
    """

    plan: RegionPlan
    input: Region | None = None
    output: Region | None = None

    @property
    def regions(self) -> list[Region]:
        """Those that there are."""
        return [region for region in (self.input, self.output) if region is not None]

    def placed(self, call: InferCall, metadata: ModelMetadata | None) -> InferCall:
        """Return the call with its tensors in the regions."""
        # Naming one output leaves out those that are not named.
        all_outputs = tuple(each.name for each in metadata.outputs) if metadata else ()
        return replace(
            call,
            input_regions=_slices(self.input, self.plan.inputs),
            output_regions=_slices(self.output, self.plan.outputs),
            outputs=call.outputs or (all_outputs if self.output else ()),
        )

    def write(self, inputs: Tensors) -> None:
        """Copy the inputs into their region, little-endian and in row order."""
        if self.input is None:
            return
        for name, span in self.plan.inputs.items():
            array = inputs[name]
            target: NDArray[Any] = np.ndarray(
                array.shape,
                array.dtype.newbyteorder("<"),
                buffer=self.input.buffer,
                offset=span.offset,
            )
            target[...] = array

    def read(
        self, reply: InferReply, *, model: str, server: str
    ) -> dict[str, NDArray[Any]]:
        """Return copies of the outputs in their region, which is used again.

        Raises
        ------
        InvalidAnswerError
            If one of them has no place there, or a larger shape.
        """
        if self.output is None:
            return {}
        outputs = {}
        for spec in reply.placed:
            n_bytes = math.prod(spec.shape) * spec.dtype.itemsize
            span = self.plan.outputs.get(spec.name, _NOWHERE)
            if n_bytes > span.n_bytes:
                expected = f"at most {span.n_bytes} bytes in shared memory"
                raise InvalidAnswerError(
                    model=model,
                    server=server,
                    mismatches=[Mismatch(spec.name, expected, spec.form)],
                )
            content = bytes(self.output.buffer[span.offset : span.offset + n_bytes])
            outputs[spec.name] = tensor_of(spec, content)
        return outputs


def _slices(region: Region | None, spans: Mapping[str, Span]) -> dict[str, RegionSlice]:
    if region is None:
        return {}
    return {
        name: RegionSlice(region.name, span.offset, span.n_bytes)
        for name, span in spans.items()
    }
