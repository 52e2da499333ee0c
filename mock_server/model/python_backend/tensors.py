"""Tensors as a ``model.py`` sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from mock_server.model.declaration import AnyArray
from mock_server.wire.codec import RawTensor, datatype_of, decode, encode

_BF16 = "BF16"
_CPU = (1, 0)  # kDLCPU, device 0


class Tensor:
    """A named array, in the memory of this process.

    numpy has no bfloat16: a tensor of that type is made by `from_dlpack`, from another
    tensor or from torch's, and has no array.
    """

    def __init__(self, name: str, array: AnyArray) -> None:
        self._name = name
        self._array: AnyArray | None = np.asarray(array)
        self._raw: RawTensor | None = None
        datatype_of(self._array)  # refuses here, not when the response is sent

    @classmethod
    def of(cls, raw: RawTensor) -> Self:
        """Return a tensor of wire form, which is decoded when it is asked for."""
        tensor = cls.__new__(cls)
        tensor._name, tensor._array, tensor._raw = raw.name, None, raw
        return tensor

    def raw(self) -> RawTensor:
        """Return the wire form."""
        if self._raw is not None:
            return self._raw
        array = self.as_numpy()
        datatype = datatype_of(array)
        return RawTensor(self._name, datatype, array.shape, encode(array, datatype))

    def name(self) -> str:
        return self._name

    def shape(self) -> tuple[int, ...]:
        return self.as_numpy().shape if self._raw is None else tuple(self._raw.shape)

    def triton_dtype(self) -> str:
        return self.raw().datatype

    def as_numpy(self) -> AnyArray:
        """Return the array; strings as an object array of bytes.

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
        """Return True: no tensor of this server is on a GPU."""
        return True

    def to_dlpack(self) -> Any:
        """Return a DLPack capsule, for `from_dlpack` here or in another library.

        Raises
        ------
        TypeError
            For BF16, where torch is not installed.
        """
        if self._raw is None or self._raw.datatype != _BF16:
            return self.as_numpy().__dlpack__()
        try:
            import torch  # noqa: PLC0415 - only for models that use bfloat16
        except ImportError as exc:
            raise TypeError("DLPack of a BF16 tensor needs torch") from exc
        words = np.frombuffer(self._raw.data, dtype=np.int16).copy()
        halves = torch.from_numpy(words.reshape(self._raw.shape)).view(torch.bfloat16)
        return halves.__dlpack__()

    def __dlpack__(self, **_options: object) -> Any:
        return self.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU

    @classmethod
    def from_dlpack(cls, name: str, source: Any) -> Self:
        """Return a copy of a tensor, an array or a capsule that speaks DLPack.

        Raises
        ------
        BufferError, RuntimeError
            If numpy has no such type, and it is not bfloat16 either.
        """
        if isinstance(source, Tensor):
            return cls.of(source.raw()._replace(name=name))
        if not hasattr(source, "__dlpack__"):
            source = _Capsule(source)
        try:
            return cls(name, np.array(np.from_dlpack(source)))
        except (BufferError, RuntimeError, TypeError):
            raw = _raw_bfloat16(name, source)
            if raw is None:
                raise
            return cls.of(raw)


class _Capsule:
    """A DLPack capsule as the object that `np.from_dlpack` expects around it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_options: object) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU


def _raw_bfloat16(name: str, source: Any) -> RawTensor | None:
    """Return a bfloat16 source in wire form, or None if it is something else."""
    try:
        import torch  # noqa: PLC0415 - only for models that use bfloat16
    except ImportError:
        return None
    halves = torch.utils.dlpack.from_dlpack(source)
    if halves.dtype is not torch.bfloat16:
        return None
    words = halves.cpu().contiguous().view(torch.int16).numpy()
    return RawTensor(name, _BF16, tuple(halves.shape), words.tobytes())


def tensor_by_name(tensors: Sequence[Tensor], name: str) -> Tensor | None:
    return next((each for each in tensors if each.name() == name), None)
