"""What can befall an answer: outputs that are not what the model returned."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mock_server.faults.kinds import Fault
from mock_server.wire.codec import DATATYPES, RawTensor, decode, encode

FLOATS = ("FP16", "BF16", "FP32", "FP64")


class AnswerFault(Fault):
    """A fault that changes the outputs; the model has run as ever."""

    __slots__ = ()

    @abstractmethod
    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        """Outputs as the client gets them."""


@dataclass(frozen=True, slots=True)
class _OutputFault(AnswerFault):
    output: str | None = None
    """Name; None: every output."""

    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        return [
            new
            for tensor in outputs
            for new in (
                self._changed(tensor)
                if self.output in (None, tensor.name)
                else (tensor,)
            )
        ]

    @abstractmethod
    def _changed(self, tensor: RawTensor) -> tuple[RawTensor, ...]: ...


@dataclass(frozen=True, slots=True)
class CutAnswer(_OutputFault):
    """Data that ends early, under the shape of all of it."""

    verb = "cut_answer"

    keep: float = field(default=0.5, kw_only=True)
    """Share of the bytes that is sent."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.keep < 1.0:
            raise ValueError(f"keep must be at least 0 and below 1, got {self.keep}")

    def _changed(self, tensor: RawTensor) -> tuple[RawTensor, ...]:
        kept = math.floor(len(tensor.data) * self.keep)
        return (tensor._replace(data=tensor.data[:kept]),)


@dataclass(frozen=True, slots=True)
class ChangeShape(_OutputFault):
    """Another shape, filled by repeating the data; by default the last row is gone."""

    verb = "change_shape"

    shape: tuple[int, ...] | None = field(default=None, kw_only=True)

    def _changed(self, tensor: RawTensor) -> tuple[RawTensor, ...]:
        array = decode(tensor.data, tensor.datatype, tensor.shape)
        if self.shape is not None:
            array = np.resize(array, self.shape)
        elif array.ndim:
            array = array[:-1]
        data = encode(array, tensor.datatype)
        return (tensor._replace(shape=array.shape, data=data),)


@dataclass(frozen=True, slots=True)
class ChangeDatatype(_OutputFault):
    """The same values as elements of another type."""

    verb = "change_datatype"

    datatype: str = field(default="FP64", kw_only=True)

    def __post_init__(self) -> None:
        if self.datatype not in DATATYPES:
            raise ValueError(
                f"unknown datatype {self.datatype!r}, expected one of "
                + ", ".join(sorted(DATATYPES))
            )

    def _changed(self, tensor: RawTensor) -> tuple[RawTensor, ...]:
        array = decode(tensor.data, tensor.datatype, tensor.shape)
        if self.datatype == "BYTES":
            array = array.astype(str)
        elif tensor.datatype == "BYTES":
            array = np.zeros(tensor.shape)
        data = encode(array, self.datatype)
        return (tensor._replace(datatype=self.datatype, data=data),)


@dataclass(frozen=True, slots=True)
class FillWithNan(_OutputFault):
    """Not a number, in every element of the outputs that hold floats."""

    verb = "fill_with_nan"

    def _changed(self, tensor: RawTensor) -> tuple[RawTensor, ...]:
        if tensor.datatype not in FLOATS:
            return (tensor,)
        array = np.full(tensor.shape, np.nan, np.float32)
        return (tensor._replace(data=encode(array, tensor.datatype)),)


@dataclass(frozen=True, slots=True)
class OmitOutput(_OutputFault):
    """An output is missing, the answer a success all the same."""

    verb = "omit_output"

    def _changed(self, tensor: RawTensor) -> tuple[RawTensor, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class AddOutput(AnswerFault):
    """One more output than the model declares."""

    verb = "add_output"

    name: str

    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        """The new one comes first: nobody may count on places."""
        data = encode(np.zeros(3, np.float32), "FP32")
        return [RawTensor(self.name, "FP32", (3,), data), *outputs]


@dataclass(frozen=True, slots=True)
class DuplicateAnswer(AnswerFault):
    """Sent twice in a stream; where only one answer fits, each output comes twice."""

    verb = "duplicate_answer"

    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        """Each output twice."""
        return [*outputs, *outputs]
