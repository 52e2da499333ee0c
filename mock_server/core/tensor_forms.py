"""Tensors whose form differs between client and model.

Three reasons: the model's configuration reshapes them, the client asks for the best
classes instead of the values, or it wants an output in shared memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mock_server.errors import ModelError, internal, invalid
from mock_server.model.declaration import FREE, Model
from mock_server.wire.codec import ELEMENT_BYTES, RawTensor, decode, pack_strings
from mock_server.wire.inference import (
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
)
from mock_server.wire.shared_memory import SharedMemory

CLASSIFIED = frozenset(ELEMENT_BYTES) - {"BOOL", "FP16", "BF16"}
"""Datatypes whose elements Triton ranks."""


def reshaped_inputs(model: Model, inputs: Iterable[RawTensor]) -> tuple[RawTensor, ...]:
    """Inputs of a checked request, in the shapes that the model expects."""
    pairs = {s.name: (s.shape, s.reshape) for s in model.inputs if s.reshape}
    return _reshaped(model, inputs, pairs)


def reshaped_outputs(
    model: Model, outputs: Iterable[RawTensor]
) -> tuple[RawTensor, ...]:
    """Outputs of a model, in the shapes that clients know."""
    pairs = {s.name: (s.reshape, s.shape) for s in model.outputs if s.reshape}
    return _reshaped(model, outputs, pairs)


Dims = Sequence[int]


def _reshaped(
    model: Model, tensors: Iterable[RawTensor], pairs: Mapping[str, tuple[Dims, Dims]]
) -> tuple[RawTensor, ...]:
    """Change shapes by pairs (old, new); free dimensions keep their order."""
    n_batch = 1 if model.max_batch_size > 0 else 0
    reshaped = []
    for tensor in tensors:
        if tensor.name in pairs:
            old, new = pairs[tensor.name]
            batch, rest = tensor.shape[:n_batch], tensor.shape[n_batch:]
            # The model may return fewer dimensions than declared.
            free = iter([n for n, dim in zip(rest, old, strict=False) if dim == FREE])
            shape = (*batch, *(next(free, dim) if dim == FREE else dim for dim in new))
            tensor = tensor._replace(shape=shape)  # noqa: PLW2901
        reshaped.append(tensor)
    return tuple(reshaped)


def in_requested_form(
    response: InferenceResponse,
    request: InferenceRequest,
    model: Model,
    shared_memory: SharedMemory,
) -> InferenceResponse:
    """Classify outputs or write them to shared memory, as the request asks.

    The response becomes an error if an output cannot be given in that form.
    """
    if response.error is not None:
        return response
    requested = {output.name: output for output in reversed(request.outputs)}
    try:
        return response.with_outputs(
            _in_form(tensor, requested[tensor.name], model, shared_memory)
            if tensor.name in requested
            else tensor
            for tensor in response.outputs
        )
    except ModelError as error:
        return InferenceResponse(
            model_name=response.model_name,
            model_version=response.model_version,
            id=response.id,
            error=error,
        )


def _in_form(
    tensor: RawTensor,
    requested: RequestedOutput,
    model: Model,
    shared_memory: SharedMemory,
) -> RawTensor:
    if requested.n_classes:
        labels = {spec.name: spec.labels for spec in model.outputs}.get(tensor.name, ())
        has_rows = model.max_batch_size > 0
        return classify(tensor, requested.n_classes, labels, has_rows=has_rows)
    location = requested.shared_memory
    if location is None:
        return tensor
    if len(tensor.data) > location.byte_size:
        raise internal(
            "shared memory size specified with the request for output "
            f"'{tensor.name}' ({location.byte_size} bytes) should be at least "
            f"{len(tensor.data)} bytes to hold the results"
        )
    shared_memory.write(location, tensor.data)
    return tensor._replace(data=b"")


def classify(
    tensor: RawTensor, n_classes: int, labels: Sequence[str], *, has_rows: bool
) -> RawTensor:
    """Return the largest values of each row, as texts ``value:index[:label]``.

    Parameters
    ----------
    tensor : RawTensor
        An output of numbers.
    n_classes : int
        Values per row, at least 1; of shorter rows all are returned.
    labels : sequence of str
        Name of each index; there may be fewer names than indices.
    has_rows : bool
        Whether the first dimension is the batch; else all values are one row.

    Returns
    -------
    RawTensor
        BYTES, shape (rows, k) or (k,): largest first, equal ones by index.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if the datatype is not in `CLASSIFIED`.

    Notes
    -----
    Rules: ``TopkClassifications`` of triton-inference-server/server, in
    ``src/classification.cc``.
    """
    if tensor.datatype not in CLASSIFIED:
        raise invalid(
            "class result not available for output due to unsupported type "
            f"'{tensor.datatype}'"
        )
    array = decode(tensor.data, tensor.datatype, tensor.shape)
    rows = array.reshape(array.shape[0], -1) if has_rows else array.reshape(1, -1)
    k = min(n_classes, rows.shape[1])
    texts = [text for row in rows for text in _best(row, k, labels)]
    shape = (rows.shape[0], k) if has_rows else (k,)
    return RawTensor(tensor.name, "BYTES", shape, pack_strings(texts))


def _best(row: NDArray[Any], k: int, labels: Sequence[str]) -> list[str]:
    # Sort the reversed row stably: read backwards, equal values are in index order.
    ascending = np.argsort(row[::-1], kind="stable")
    indices = (len(row) - 1 - ascending)[::-1][:k].tolist()
    is_float = np.issubdtype(row.dtype, np.floating)
    texts = []
    for index in indices:
        value = row[index].item()
        text = f"{value:f}:{index}" if is_float else f"{int(value)}:{index}"
        texts.append(f"{text}:{labels[index]}" if index < len(labels) else text)
    return texts
