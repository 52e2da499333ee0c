"""Inference requests and responses of KServe v2 over HTTP, with binary data or without.

A message is a JSON header followed by the tensors' own memory, in the header's order;
an HTTP header holds the length of the first. For servers without that extension, the
values are in the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from sonic_client.transport.base import InferCall, InferReply, RegionSlice
from sonic_client.transport.foreign import checked, read_answer
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
    body: bytes, *, json_length: str | None, call: InferCall, server: str
) -> InferReply:
    """Return the tensors of an answer, as read-only views of it.

    Parameters
    ----------
    body : bytes
    json_length : str, optional
        Bytes of the header, as the server writes it. None: all is JSON.
    call : InferCall
        What was asked for.
    server : str
        Named in errors.

    Raises
    ------
    InvalidAnswerError
        If the header cannot be read, there is other data than it announces, or it is
        not an answer to the call: see `reply_of`.
    """
    return read_answer(
        partial(_reply, body, json_length, call, server),
        model=call.model_name,
        server=server,
        expected="a KServe inference response",
    )


def _reply(
    body: bytes, json_length: str | None, call: InferCall, server: str
) -> InferReply:
    n_bytes = len(body) if json_length is None else int(json_length)
    if not 0 <= n_bytes <= len(body):
        raise ValueError(f"{JSON_LENGTH_HEADER} {n_bytes} of {len(body)} bytes")
    header = json.loads(body[:n_bytes])
    return reply_of(
        _tensors(header, memoryview(body)[n_bytes:]),
        call=call,
        version=str(header.get("model_version", "")),
        request_id=str(header.get("id", "")),
        server=server,
    )


# Any: a foreign server may answer anything.
def _tensors(
    header: Any, content: memoryview
) -> Iterator[tuple[TensorSpec, Content | None]]:
    start = 0
    for tensor in header["outputs"]:
        shape = tuple(checked(dim, int) for dim in tensor["shape"])
        datatype = checked(tensor["datatype"], str)
        spec = TensorSpec(checked(tensor["name"], str), datatype, shape)
        n_bytes = tensor.get("parameters", {}).get("binary_data_size")
        if n_bytes is None:
            values = tensor.get("data")
            if not isinstance(values, list | None):
                raise TypeError(f"'data' is no array but {type(values).__name__}")
            yield spec, values
        else:
            if checked(n_bytes, int) < 0:
                raise ValueError(f"binary_data_size {n_bytes}")
            yield spec, content[start : start + n_bytes]
            start += n_bytes
    if start < len(content):
        raise ValueError(f"{len(content) - start} bytes that belong to no tensor")
