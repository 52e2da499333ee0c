"""Answers to requests for inference, as JSON and the binary data behind it."""

from __future__ import annotations

from typing import NamedTuple

from mock_server.http_api.json_tensors import json_of_data
from mock_server.http_api.json_text import dump
from mock_server.http_api.requests import HttpInference
from mock_server.wire.inference import InferenceRequest, InferenceResponse

HEADER_LENGTH = "Inference-Header-Content-Length"


class HttpAnswer(NamedTuple):
    """Body of an answer, its JSON first."""

    body: bytes
    header_length: int | None  #: bytes of JSON, if binary data follows


def infer_answer(asked: HttpInference, response: InferenceResponse) -> HttpAnswer:
    """Answer to a request; what went into shared memory has no data here.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for an output that JSON cannot carry.
    """
    shared = {output.name for output in asked.request.outputs if output.shared_memory}
    described: list[bytes] = []
    binary: list[bytes] = []
    for tensor in response.outputs:
        about = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if tensor.name in shared:
            described.append(dump(about))
        elif asked.is_binary.get(tensor.name, asked.is_binary_by_default):
            size = {"binary_data_size": len(tensor.data)}
            described.append(dump({**about, "parameters": size}))
            binary.append(tensor.data)
        else:
            # Numbers are not printed as Python's own writer does.
            described.append(
                dump(about)[:-1] + b',"data":' + json_of_data(tensor) + b"}"
            )
    header = b"".join(
        (
            dump(_beginning(asked.request, response))[:-1],
            b',"outputs":[',
            b",".join(described),
            b"]}",
        )
    )
    if not binary:
        return HttpAnswer(header, None)
    return HttpAnswer(b"".join((header, *binary)), len(header))


def _beginning(
    request: InferenceRequest, response: InferenceResponse
) -> dict[str, object]:
    beginning: dict[str, object] = {"id": request.id} if request.id else {}
    beginning["model_name"] = response.model_name
    beginning["model_version"] = response.model_version
    if response.parameters:
        beginning["parameters"] = dict(response.parameters)
    return beginning
