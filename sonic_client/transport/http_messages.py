"""Inference requests and responses of KServe v2 over HTTP, with binary data or without.

A message is a JSON header followed by the tensors' own memory, in the header's order;
an HTTP header holds the length of the first. For servers without that extension, the
values are in the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from typing import Any

from sonic_client.errors import InvalidAnswerError, Mismatch
from sonic_client.transport.base import InferCall, InferReply, RegionSlice
from sonic_client.transport.payload import Content, json_values, raw_values, reply_of
from sonic_client.types import TensorSpec, datatype_of

__all__ = ["JSON_LENGTH_HEADER", "decode_body", "encode_body"]

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"


def encode_body(
    call: InferCall, *, is_binary: bool = True
) -> tuple[int, list[bytes | memoryview]]:
    """Return the length of the JSON header, and the parts of the body, to be joined.

    Without `is_binary`, the values are in the JSON, which is the whole body then.
    """
    if not is_binary:
        whole = json.dumps(_json_request(call), separators=(",", ":")).encode()
        return len(whole), [whole]
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
        "parameters": {"binary_data_output": True},
        "inputs": inputs,
    }
    if call.outputs:
        header["outputs"] = [_output(name, call) for name in call.outputs]
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return len(encoded), [encoded, *values]


def _json_request(call: InferCall) -> dict[str, object]:
    request: dict[str, object] = {
        "id": call.request_id,
        "inputs": [
            {
                "name": name,
                "datatype": datatype_of(array.dtype),
                "shape": array.shape,
                "data": json_values(array),
            }
            for name, array in call.inputs.items()
        ],
    }
    if call.outputs:
        request["outputs"] = [{"name": name} for name in call.outputs]
    return request


def _output(name: str, call: InferCall) -> dict[str, object]:
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
        Named in errors.
    output_regions : container of str
        Outputs that the call wanted in shared memory; the answer does not say.

    Raises
    ------
    InvalidAnswerError
        If the header cannot be read, or a tensor's bytes are missing or do not fill its
        shape.
    """
    try:
        header = json.loads(body[:json_length])
        return reply_of(
            _tensors(header, memoryview(body)[json_length:]),
            model=model,
            version=str(header.get("model_version", "")),
            server=server,
            output_regions=output_regions,
        )
    # A foreign server may answer anything.
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidAnswerError(
            model=model,
            server=server,
            mismatches=[Mismatch("*", "a KServe inference response", repr(error))],
        ) from error


# Any: a foreign server may answer anything.
def _tensors(
    header: Any, content: memoryview
) -> Iterator[tuple[TensorSpec, Content | None]]:
    start = 0
    for tensor in header["outputs"]:
        spec = TensorSpec(tensor["name"], tensor["datatype"], (*tensor["shape"],))
        n_bytes = tensor.get("parameters", {}).get("binary_data_size")
        if n_bytes is None:
            values = tensor.get("data")
            if not isinstance(values, list | None):
                raise TypeError(f"'data' is no array but {type(values).__name__}")
            yield spec, values
        else:
            yield spec, content[start : start + n_bytes]
            start += n_bytes
