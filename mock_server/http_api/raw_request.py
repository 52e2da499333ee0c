"""Requests that are nothing but the data of one input."""

from __future__ import annotations

from collections.abc import Callable

from mock_server.errors import invalid_request
from mock_server.http_api.requests import HttpInference
from mock_server.model.declaration import FREE, Model
from mock_server.wire.codec import ELEMENT_BYTES, RawTensor, element_count
from mock_server.wire.inference import Cancellation, InferenceRequest


def raw_request(
    model: Model,
    body: bytes,
    *,
    cancellation: Cancellation,
    drop_connection: Callable[[], object],
) -> HttpInference:
    """Request whose whole body is the one input of the model; its shape is deduced.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if it cannot be.
    """
    if len(model.inputs) != 1:
        raise invalid_request(
            "",
            "Raw request must only have 1 input (found 1) to be deduced but got "
            f"{len(model.inputs)} inputs in '{model.name}' model configuration",
        )
    (spec,) = model.inputs
    dims = list(spec.shape)
    if dims.count(FREE) > 1:
        raise invalid_request(
            "",
            "The shape of the raw input '"
            f"{spec.name}' can not be deduced because there are more than one "
            "variable-sized dimension",
        )
    if FREE in dims:
        known = element_count(dim for dim in dims if dim != FREE)
        row_bytes = known * ELEMENT_BYTES.get(spec.datatype, 1)
        dims[dims.index(FREE)] = len(body) // row_bytes if row_bytes else 0
    if model.max_batch_size > 0:
        dims.insert(0, 1)
    if spec.datatype == "BYTES":
        body = len(body).to_bytes(4, "little") + body
        dims = [1] * len(dims)
    else:
        expected = element_count(dims) * ELEMENT_BYTES[spec.datatype]
        if expected != len(body):
            raise invalid_request(
                "",
                f"input byte size mismatch for input 'raw_input' for model "
                f"'{model.name}'. Expected {expected}, got {len(body)}",
            )
    request = InferenceRequest(
        model_name=model.name,
        model_version=model.version,
        inputs=(RawTensor(spec.name, spec.datatype, tuple(dims), body),),
        cancellation=cancellation,
        drop_connection=drop_connection,
    )
    return HttpInference(request, {}, is_binary_by_default=True)
