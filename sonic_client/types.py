"""Values that pass between a caller and the client: tensors, models, outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sonic_base import ConfigError, SonicError, nearest_names

__all__ = [
    "Answer",
    "AnyArray",
    "Failure",
    "ModelMetadata",
    "ModelState",
    "Outcome",
    "Request",
    "TensorSpec",
    "Tensors",
    "datatype_of",
    "numpy_dtype",
    "payload_bytes",
]


AnyArray: TypeAlias = NDArray[Any]  # Any: any element type of KServe
Tensors: TypeAlias = Mapping[str, AnyArray]

_NUMPY_NAMES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_DATATYPES = {np.dtype(name): datatype for datatype, name in _NUMPY_NAMES.items()}


@cache
def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """Return the numpy type of a KServe datatype.

    ``FP32`` is float32, ``BYTES`` object, with elements of type bytes.
    ``BF16`` is ``ml_dtypes.bfloat16``, as in tritonclient, because numpy has no
    such type of its own.

    Raises
    ------
    ConfigError
        If KServe has no such datatype.
    """
    if datatype == "BF16":
        # Imported here: few models have such a tensor.
        from ml_dtypes import bfloat16  # noqa: PLC0415

        dtype: np.dtype[Any] = np.dtype(bfloat16)
        return dtype
    if datatype not in _NUMPY_NAMES:
        raise ConfigError(
            f"unknown datatype {datatype!r}, "
            f"{nearest_names(datatype, [*_NUMPY_NAMES, 'BF16'])}"
        )
    return np.dtype(_NUMPY_NAMES[datatype])


@cache
def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the KServe datatype of a numpy type of any byte order.

    A type unknown to KServe is returned by its numpy name, for error messages. Text
    and byte strings (kinds U and S) are ``BYTES``.
    """
    if dtype.kind in "US":
        return "BYTES"
    native = dtype.newbyteorder("=")
    if native.name == "bfloat16":
        return "BF16"
    return _DATATYPES.get(native, native.name)


def payload_bytes(tensors: Tensors) -> int:
    """Return the bytes of the tensors' values on the wire.

    Elements of ``BYTES`` tensors have a four-byte prefix; text is encoded as UTF-8.
    """
    n_bytes = 0
    for array in tensors.values():
        n_bytes += _tensor_bytes(np.asanyarray(array))
    return n_bytes


def _tensor_bytes(array: NDArray[Any]) -> int:
    if array.dtype.kind not in "OUS":
        return array.nbytes
    return sum(
        4 + len(element.encode() if isinstance(element, str) else bytes(element))
        for element in array.flat
    )


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, type and shape of a tensor as a model declares it.

    Attributes
    ----------
    name : str
    datatype : str
        KServe's name: ``FP32``, ``INT64``, ``BYTES``, ...
    shape : tuple of int
        -1 is a free dimension. Includes the batch dimension of models with
        `max_batch_size` above zero.
    optional : bool
        Whether a request may leave this input out.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.form}"

    @property
    def form(self) -> str:
        """Type and shape as text, e.g. ``FP32[-1,3]``."""
        return f"{self.datatype}[{','.join(map(str, self.shape))}]"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the elements."""
        return numpy_dtype(self.datatype)

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape fits, including dimensions of length zero."""
        if len(shape) != len(self.shape):
            return False
        for want, got in zip(self.shape, shape, strict=True):
            if want not in (-1, got):
                return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """A server's description of a model.

    Attributes
    ----------
    name, version, platform : str
        `version` is the one that answers: the latest, if none was asked for.
    inputs, outputs : tuple of TensorSpec
        In the order of the model's configuration.
    max_batch_size : int
        0 if the model has no batch dimension: its arrays are never cut.
    parameters : mapping of str to str
        The parameters of the model's configuration, such as cuts and feature scales.
    """

    name: str
    version: str
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """One row of a server's repository index.

    Attributes
    ----------
    name : str
    version : str
        Empty for a model that was never loaded.
    state : str
        ``READY``, ``UNAVAILABLE``, ``LOADING``, ``UNLOADING``, or empty.
    reason : str
        Why it is not ready; may be empty.
    """

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether this version takes requests."""
        return self.state == "READY"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One call of the model: for a producer, one event.

    Attributes
    ----------
    request_id : str or int
        Returned with the outcome; it has no meaning to the client.
    inputs : mapping of str to ndarray
        Not copied: leave the arrays unchanged until there is an outcome.
    """

    request_id: str | int
    inputs: Tensors


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answer:
    """A request that was answered.

    Attributes
    ----------
    request_id : str or int
        As in the request.
    outputs : mapping of str to ndarray
        Read-only views of the received message; copy arrays to keep or change them.
    server : str
        Name of the server that answered, by default its address.
    model_version : str
        Version that answered.
    tries : int
        Number of calls, including the successful one.
    latency_s : float
        Seconds from the first send to the answer, including waits between tries.
    is_fallback : bool
        Whether the fallback answered, because no server did.
    """

    request_id: str | int
    outputs: Tensors
    server: str
    model_version: str
    tries: int
    latency_s: float
    is_fallback: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Failure:
    """A request that has no answer.

    Attributes
    ----------
    request_id : str or int
        As in the request.
    error : SonicError
        Why.
    servers : tuple of str
        Names of the servers tried; empty if nothing was sent.
    tries : int
        Calls made; 0 if nothing was sent.
    """

    request_id: str | int
    error: SonicError
    servers: tuple[str, ...]
    tries: int


Outcome: TypeAlias = Answer | Failure
