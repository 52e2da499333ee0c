"""Tensors to and from the messages of KServe v2 over HTTP, with binary data.

A message is a JSON header followed by the tensors' own memory, in the header's order;
an HTTP header tells where the first ends.
"""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any

from numpy.typing import NDArray

from sonic_client.errors import InvalidAnswerError, Mismatch
from sonic_client.transport.base import InferCall, InferReply, RegionSlice
from sonic_client.transport.raw_tensors import raw_values, tensor_of
from sonic_client.types import TensorSpec, datatype_of

__all__ = ["JSON_LENGTH_HEADER", "decode_body", "encode_body"]

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"


def encode_body(call: InferCall) -> tuple[int, list[bytes | memoryview]]:
    """Return the length of the JSON header, and the parts of the body, to be joined."""
    inputs, values = [], []
    for name, array in call.inputs.items():
        if place := call.input_regions.get(name):
            parameters = _region_parameters(place)
        else:
            content = raw_values(array)
            values.append(content)
            parameters = {"binary_data_size": len(content)}
        inputs.append(
            {
                "name": name,
                "datatype": datatype_of(array.dtype),
                "shape": array.shape,
                "parameters": parameters,
            }
        )
    header = {
        "id": call.request_id,
        "parameters": {"binary_data_output": True, **call.parameters},
        "inputs": inputs,
    }
    if call.outputs:
        header["outputs"] = [_wanted(name, call) for name in call.outputs]
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return len(encoded), [encoded, *values]


def _wanted(name: str, call: InferCall) -> dict[str, object]:
    place = call.output_regions.get(name)
    parameters = {"binary_data": True} if place is None else _region_parameters(place)
    return {"name": name, "parameters": parameters}


def _region_parameters(place: RegionSlice) -> dict[str, object]:
    return {
        "shared_memory_region": place.region,
        "shared_memory_offset": place.offset,
        "shared_memory_byte_size": place.n_bytes,
    }


def decode_body(
    body: bytes,
    *,
    json_length: int,
    model: str,
    server: str,
    output_regions: Container[str] = (),
) -> InferReply:
    """Return the tensors of an answer, as read-only views of it.

    Parameters
    ----------
    body : bytes
    json_length : int
        Bytes of the header.
    model, server : str
        For errors.
    output_regions : container of str
        Outputs that the call wanted in shared memory; the answer does not tell.

    Raises
    ------
    InvalidAnswerError
        If the header cannot be read, or a tensor's bytes are missing or do not fill its
        shape.
    """
    outputs: dict[str, NDArray[Any]] = {}
    placed: list[TensorSpec] = []
    mismatches: list[Mismatch] = []
    start, content = json_length, memoryview(body)
    try:
        header = json.loads(body[:json_length])
        version = str(header.get("model_version", ""))
        for tensor in header["outputs"]:
            spec = TensorSpec(tensor["name"], tensor["datatype"], (*tensor["shape"],))
            if spec.name in output_regions:
                placed.append(spec)
                continue
            n_bytes = tensor.get("parameters", {}).get("binary_data_size")
            if n_bytes is None:
                mismatches.append(Mismatch(spec.name, "binary data", "JSON data"))
                continue
            try:
                outputs[spec.name] = tensor_of(spec, content[start : start + n_bytes])
            except ValueError as error:
                mismatches.append(Mismatch(spec.name, spec.form, str(error)))
            start += n_bytes
    # What a foreign server may put where these keys are expected.
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        mismatches = [Mismatch("*", "a KServe inference response", repr(error))]
    if mismatches:
        raise InvalidAnswerError(model=model, server=server, mismatches=mismatches)
    return InferReply(model_version=version, outputs=outputs, placed=tuple(placed))
