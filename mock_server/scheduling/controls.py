"""Inputs that tell a model where in a sequence it is."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mock_server.model.batching import Control, ControlInput
from mock_server.wire.codec import RawTensor, encode, pack_strings
from mock_server.wire.inference import InferenceRequest

_NUMPY_TYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "FP32": np.float32,
    "INT32": np.int32,
    "UINT32": np.uint32,
    "INT64": np.int64,
    "UINT64": np.uint64,
}


def control_tensors(
    controls: Iterable[ControlInput],
    request: InferenceRequest,
    *,
    has_rows: bool,
    is_ready: bool = True,
) -> list[RawTensor]:
    """Control inputs of one request: one element each.

    Parameters
    ----------
    controls : iterable of ControlInput
        What the model wants to know.
    request : InferenceRequest
        A request of a sequence.
    has_rows : bool
        Whether the model has a batch dimension: the shape is then [1,1], else [1].
    is_ready : bool
        False for the row of a sequence that has no request now.
    """
    shape = (1, 1) if has_rows else (1,)
    is_so = {
        Control.START: request.sequence_start,
        Control.READY: is_ready,
        Control.END: request.sequence_end,
    }
    tensors = []
    for control in controls:
        if control.control is Control.CORRID:
            data = _correlation_id(request.correlation_id, control.datatype)
        else:
            value = control.false_true[is_so[control.control]]
            array: NDArray[Any] = np.full(shape, value, _NUMPY_TYPES[control.datatype])
            data = encode(array, control.datatype)
        tensors.append(RawTensor(control.name, control.datatype, shape, data))
    return tensors


def _correlation_id(correlation_id: int | str, datatype: str) -> bytes:
    if datatype == "BYTES":
        return encode(np.array([str(correlation_id)], dtype=object), "BYTES")
    if isinstance(correlation_id, str):
        # Triton copies the bytes of the BYTES form, as far as there is room for them.
        packed = pack_strings([correlation_id]).ljust(8, b"\0")
        number = int.from_bytes(packed[:8], "little")
    else:
        number = correlation_id
    wrapped: NDArray[Any] = np.array([number], dtype="<u8").astype(
        _NUMPY_TYPES[datatype]
    )
    return encode(wrapped, datatype)
