"""The generate extension: plain JSON objects in and out, or a stream of events.

Source: ``HTTPAPIServer::HandleGenerate`` and ``GenerateRequestClass`` of
``src/http_server.cc`` in triton-inference-server/server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace

from mock_server.core.inference_core import InferenceCore
from mock_server.errors import ModelError, invalid
from mock_server.http_api.call import Call
from mock_server.http_api.inference import submit
from mock_server.http_api.json_tensors import data_of_json, json_of_data
from mock_server.http_api.json_text import Json, dump, internal, parse, string_member
from mock_server.http_api.parameters import RequestParameters
from mock_server.http_api.reply import Reply
from mock_server.model.declaration import FREE, Model, TensorSpec
from mock_server.wire.codec import RawTensor, element_count
from mock_server.wire.inference import InferenceRequest, InferenceResponse

_SEVERAL = (
    "generate expects model to produce exactly 1 response, use generate stream for "
    "model that generates various number of responses"
)

EVENT_STREAM = "text/event-stream; charset=utf-8"


async def generate(core: InferenceCore, call: Call, name: str, version: str) -> Reply:
    """Answer to ``POST /v2/models/NAME/generate``.

    Raises
    ------
    ModelError
        What is wrong with the request.
    """
    responses = [r async for r in _responses(core, call, name, version)]
    if len(responses) != 1:
        return replace(Reply.error(200, _SEVERAL), is_chunked=True)
    (response,) = responses
    if response.error is not None:
        error = Reply.error(400, response.error.message)  # whatever its code
        return replace(error, is_chunked=True)
    return Reply(body=_object_of(response), is_chunked=True)


async def generate_events(
    core: InferenceCore, call: Call, name: str, version: str
) -> AsyncIterator[tuple[int, bytes]]:
    """Events that answer ``POST /v2/models/NAME/generate_stream``.

    The status beside the first one is that of the whole answer.

    Raises
    ------
    ModelError
        What is wrong with the request: before the first event.
    """
    async for response in _responses(core, call, name, version):
        content = (
            _object_of(response)
            if response.error is None
            else dump({"error": response.error.message})
        )
        status = 200 if response.error is None else 400
        yield status, b"data: " + content + b"\n\n"


async def _responses(
    core: InferenceCore, call: Call, name: str, version: str
) -> AsyncIterator[InferenceResponse]:
    loaded = core.repository.find(name, version)
    request = _request(call, loaded.model)
    loop = asyncio.get_running_loop()
    answers: asyncio.Queue[InferenceResponse | None] = asyncio.Queue()

    def respond(response: InferenceResponse | None, is_final: bool) -> None:
        with suppress(RuntimeError):  # the server has stopped: nobody waits
            if response is not None:
                loop.call_soon_threadsafe(answers.put_nowait, response)
            if is_final:
                loop.call_soon_threadsafe(answers.put_nowait, None)

    await submit(core, call, loaded, request, respond)
    while (response := await answers.get()) is not None:
        yield response


def _request(call: Call, model: Model) -> InferenceRequest:
    value = parse(call.body)
    if not isinstance(value, Mapping):
        raise internal("attempt to get members for non-object")
    specs = {spec.name: spec for spec in model.inputs}
    inputs = tuple(
        _input(specs[key], content, model)
        for key, content in value.items()
        if key in specs
    )
    others = {key: each for key, each in value.items() if key not in specs}
    request_id = string_member(others, "id") if "id" in others else ""
    nested = others.pop("parameters", {})
    parameters = RequestParameters.of({**others, **nested})
    return InferenceRequest(
        model_name=model.name,
        model_version=model.version,
        id=request_id,
        inputs=inputs,
        parameters=parameters.of_model,
        priority=parameters.priority,
        timeout_us=parameters.timeout_us,
        correlation_id=parameters.correlation_id,
        sequence_start=parameters.sequence_start,
        sequence_end=parameters.sequence_end,
        cancellation=call.cancellation,
        drop_connection=call.drop_connection,
        is_streamed=True,
    )


def _input(spec: TensorSpec, content: Json, model: Model) -> RawTensor:
    n_elements = len(content) if isinstance(content, list) else 1
    dims = list(spec.shape)
    known = element_count(dim for dim in dims if dim != FREE)
    if dims.count(FREE) == 1 and known:
        dims[dims.index(FREE)] = n_elements // known
    if FREE in dims or element_count(dims) != n_elements:
        raise invalid(
            f"The schema can not convert input '{spec.name}' to tensor with proper "
            "shape"
        )
    shape = tuple([1, *dims] if model.max_batch_size > 0 else dims)
    data = data_of_json(content, name=spec.name, datatype=spec.datatype, shape=shape)
    return RawTensor(spec.name, spec.datatype, shape, data)


def _object_of(response: InferenceResponse) -> bytes:
    """Outputs by name, of one element without brackets; keys in alphabetical order."""
    members = {
        "model_name": dump(response.model_name),
        "model_version": dump(response.model_version),
    }
    for tensor in response.outputs:
        try:
            data = json_of_data(tensor)
        except ModelError as error:
            return dump({"error": error.message})
        is_single = element_count(tensor.shape) == 1
        members[tensor.name] = data[1:-1] if is_single else data
    return (
        b"{" + b",".join(dump(k) + b":" + v for k, v in sorted(members.items())) + b"}"
    )
