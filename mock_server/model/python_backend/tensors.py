"""Tensors as a ``model.py`` sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mock_server.wire.codec import RawTensor, datatype_of, decode, encode

_BF16 = "BF16"


class Tensor:
    """A named array, in the memory of this process.

    numpy has no bfloat16: a tensor of that type is made by `from_dlpack`, of another
    tensor or of torch's, and cannot be had as an array.
    """

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self._name = name
        self._array: NDArray[Any] | None = np.asarray(array)
        self._raw: RawTensor | None = None
        datatype_of(self._array)  # refuse what no datatype holds, here and not later

    @classmethod
    def of(cls, raw: RawTensor) -> Self:
        """Tensor of wire form, decoded when it is asked for."""
        tensor = cls.__new__(cls)
        tensor._name, tensor._array, tensor._raw = raw.name, None, raw
        return tensor

    def raw(self) -> RawTensor:
        """Wire form."""
        if self._raw is not None:
            return RawTensor(
                self._name, self._raw.datatype, self._raw.shape, self._raw.data
            )
        array = self.as_numpy()
        datatype = datatype_of(array)
        return RawTensor(self._name, datatype, array.shape, encode(array, datatype))

    def name(self) -> str:
        """As in the model's configuration."""
        return self._name

    def shape(self) -> tuple[int, ...]:
        """With the batch dimension, if there is one."""
        if self._raw is not None:
            return tuple(self._raw.shape)
        return self.as_numpy().shape

    def triton_dtype(self) -> str:
        """KServe's name of the datatype."""
        return self.raw().datatype

    def as_numpy(self) -> NDArray[Any]:
        """The array; strings as an object array of bytes.

        Raises
        ------
        TypeError
            For BF16.
        """
        if self._array is None:
            assert self._raw is not None  # one of the two is there
            if self._raw.datatype == _BF16:
                raise TypeError("numpy has no bfloat16: use to_dlpack")
            self._array = decode(self._raw.data, self._raw.datatype, self._raw.shape)
        return self._array

    def is_cpu(self) -> bool:
        """Always so."""
        return True

    def to_dlpack(self) -> Any:  # a capsule, or what stands for it
        """What `from_dlpack` of another library takes."""
        if self._raw is not None and self._raw.datatype == _BF16:
            return _bfloat16_capsule(self._raw)
        return self.as_numpy().__dlpack__()

    def __dlpack__(self, **_options: object) -> Any:
        return self.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    @classmethod
    def from_dlpack(cls, name: str, source: Any) -> Self:
        """Tensor of anything that speaks DLPack: it shares no memory with it."""
        if isinstance(source, Tensor):
            raw = source.raw()
            return cls.of(RawTensor(name, raw.datatype, raw.shape, raw.data))
        if "bfloat16" in str(getattr(source, "dtype", "")):
            return cls.of(_raw_of_bfloat16(name, source))
        if not hasattr(source, "__dlpack__"):
            source = _Capsule(source)
        return cls(name, np.array(np.from_dlpack(source)))


class _Capsule:
    """A DLPack capsule, as the object that numpy wants around it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_options: object) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def _raw_of_bfloat16(name: str, source: Any) -> RawTensor:
    import torch  # noqa: PLC0415 - the source is torch's, so it is loaded

    words = source.detach().cpu().contiguous().view(torch.int16).numpy()
    return RawTensor(name, _BF16, tuple(source.shape), words.tobytes())


def _bfloat16_capsule(raw: RawTensor) -> Any:
    try:
        import torch  # noqa: PLC0415 - only for models that ask for bfloat16
    except ImportError as exc:
        raise TypeError("DLPack of a BF16 tensor needs torch") from exc
    words = np.frombuffer(raw.data, dtype=np.int16).copy().reshape(raw.shape)
    tensor = torch.from_numpy(words).view(torch.bfloat16)
    return tensor.__dlpack__()


def tensor_by_name(tensors: Sequence[Tensor], name: str) -> Tensor | None:
    """The tensor of that name, or None."""
    return next((each for each in tensors if each.name() == name), None)
