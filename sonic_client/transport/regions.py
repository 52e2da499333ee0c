"""Shared memory for the tensors of a call: which tensors, where they lie, and whose.

`plan_regions` decides (pure), `RegionPool` keeps the memory from call to call, and
`RegionLease` writes a call's inputs and reads its outputs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sonic_client.errors import InvalidAnswerError, Mismatch
from sonic_client.transport.base import InferCall, InferReply, RegionSlice
from sonic_client.transport.foreign import read_answer
from sonic_client.transport.payload import tensor_of
from sonic_client.types import ModelMetadata, Tensors, TensorSpec

__all__ = [
    "Direction",
    "Region",
    "RegionLease",
    "RegionPlan",
    "RegionPool",
    "Span",
    "end_of",
    "grown_size",
    "plan_regions",
]

Direction: TypeAlias = Literal["input", "output"]

# A cache line: models may read the values as vectors.
_ALIGNMENT = 64
_SMALLEST_BYTES = 2**16
_FOLDER = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Span:
    """Place of a tensor in its region, in bytes."""

    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """The layout of one call's two regions.

    Attributes
    ----------
    inputs, outputs : mapping of str to Span
        The tensors in them; the others travel in the message.
    """

    inputs: Mapping[str, Span]
    outputs: Mapping[str, Span]


def plan_regions(call: InferCall, metadata: ModelMetadata | None) -> RegionPlan:
    """Lay out the tensors of known, fixed size.

    ``BYTES`` tensors have none. Outputs have one if the model declares their shape:
    entirely, or except for the batch dimension, which is that of the inputs.
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
    """Return the bytes that a region must have; 0 for no tensors."""
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


class Region:
    """One object of POSIX shared memory, created by this process.

    If this process is killed, Python's resource tracker unlinks it.

    Parameters
    ----------
    direction : str
    n_bytes : int

    Attributes
    ----------
    name : str
        ``sonic_<pid>_<direction>_<random>``: its name at the server, which nobody can
        take before.
    key : str
        Its name in the operating system.
    n_bytes : int

    Raises
    ------
    OSError
        If there is not enough memory.
    """

    def __init__(self, direction: Direction, n_bytes: int) -> None:
        self.direction, self.n_bytes = direction, n_bytes
        self.name = f"sonic_{os.getpid()}_{direction}_{os.urandom(8).hex()}"
        self.key = f"/{self.name}"
        # `create` fails if it exists: two processes must never share one by accident.
        self._memory = SharedMemory(self.name, create=True, size=n_bytes)
        try:
            self._reserve()
        except OSError:
            self.discard()
            raise

    @property
    def buffer(self) -> memoryview:
        """The memory; release all views of it before `discard`."""
        buffer = self._memory.buf
        assert buffer is not None  # until it is discarded
        return buffer

    def discard(self) -> None:
        """Unmap and unlink it here; a server that has it mapped keeps its memory."""
        self._memory.close()
        self._memory.unlink()

    def _reserve(self) -> None:
        # Otherwise memory is given at the first write, and its lack is a bus error.
        if (_FOLDER / self.name).exists():
            with (_FOLDER / self.name).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self.n_bytes)


class RegionPool:
    """Regions that no call uses, by direction; there are as many as calls at once."""

    def __init__(self) -> None:
        self._free: dict[Direction, list[Region]] = {"input": [], "output": []}

    def take(self, direction: Direction, n_bytes: int) -> Region | None:
        """Return a free region that is large enough, if there is one."""
        free = self._free[direction]
        for index in range(len(free) - 1, -1, -1):
            if free[index].n_bytes >= n_bytes:
                return free.pop(index)
        return None

    def take_too_small(self, direction: Direction) -> Region | None:
        """Return any free region, to be replaced by a larger one."""
        free = self._free[direction]
        return free.pop() if free else None

    def give_back(self, region: Region) -> None:
        """Add a region whose call has ended."""
        self._free[region.direction].append(region)

    def clear(self) -> list[Region]:
        """Remove and return all free regions."""
        regions = [*self._free["input"], *self._free["output"]]
        self._free = {"input": [], "output": []}
        return regions


def grown_size(n_bytes: int) -> int:
    """Return the size of a new region: the next power of two, so that few are made."""
    return max(_SMALLEST_BYTES, 1 << (n_bytes - 1).bit_length())


@dataclass(slots=True)
class RegionLease:
    """The regions that a call has to itself until it is answered.

    Attributes
    ----------
    plan : RegionPlan
        The tensors in them, and where.
    input, output : Region or None
        None if it would be empty.
    """

    plan: RegionPlan
    input: Region | None = None
    output: Region | None = None

    @property
    def regions(self) -> list[Region]:
        """The regions that are not None."""
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
        """Return copies of the outputs in their region, because it is used again.

        Raises
        ------
        InvalidAnswerError
            If an output was not planned there, or is larger than planned.
        """
        if self.output is None:
            return {}
        outputs = {}
        for spec in reply.placed:
            n_bytes = math.prod(spec.shape) * spec.dtype.itemsize
            span = self.plan.outputs.get(spec.name, Span(0, 0))
            if n_bytes > span.n_bytes:
                expected = f"at most {span.n_bytes} bytes in shared memory"
                raise InvalidAnswerError(
                    model=model,
                    server=server,
                    mismatches=[Mismatch(spec.name, expected, spec.form)],
                )
            content = bytes(self.output.buffer[span.offset : span.offset + n_bytes])
            outputs[spec.name] = read_answer(
                partial(tensor_of, spec, content),
                model=model,
                server=server,
                expected=f"{spec.name!r} in shared memory",
            )
        return outputs


def _slices(region: Region | None, spans: Mapping[str, Span]) -> dict[str, RegionSlice]:
    if region is None:
        return {}
    return {
        name: RegionSlice(region.name, span.offset, span.n_bytes)
        for name, span in spans.items()
    }
