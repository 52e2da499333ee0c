"""The ``infer`` and ``generate`` calls.

Source of ``generate``: ``HTTPAPIServer::HandleGenerate`` and ``GenerateRequestClass``
in ``src/http_server.cc`` of triton-inference-server/server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from mock_server.core.inference_core import InferenceCore, refuse_decoupled
from mock_server.core.loaded_model import Loaded
from mock_server.errors import ModelError, internal, invalid, invalid_request
from mock_server.http_api.json_values import (
    Json,
    JsonObject,
    data_of_json,
    dump,
    json_of_data,
    member,
    parse,
)
from mock_server.http_api.replies import Reply, infer_reply
from mock_server.http_api.requests import (
    Call,
    check_json_size,
    read_inference,
    request_fields,
)
from mock_server.model.declaration import FREE, Model, TensorSpec
from mock_server.profiles import Profile
from mock_server.wire.codec import RawTensor, element_count
from mock_server.wire.inference import InferenceRequest, InferenceResponse

EVENT_STREAM = "text/event-stream; charset=utf-8"

_LARGE_BYTES = 2**20
"""Compressing more than this would hold up the other requests of the event loop."""


async def infer(core: InferenceCore, call: Call, name: str, version: str) -> Reply:
    """Answer ``POST /v2/models/NAME/infer``.

    Raises
    ------
    ModelError
        A mistake in the request, or the model's own error.
    """
    loaded = core.repository.find(name, version)
    refuse_decoupled(
        loaded,
        "HTTP end point doesn't support models with decoupled transaction policy",
    )
    asked = read_inference(call, loaded.model, core.shared_memory)
    try:
        responses = await _submit(core, call, loaded, asked.request)
        response = await responses.get()
    except asyncio.CancelledError:
        _drop(call, loaded)
        raise
    if response is None:
        raise internal(f"model '{name}' gave no response")
    if response.error is not None:
        raise response.error
    if not core.profile.has_binary_tensors:
        asked = asked._replace(is_binary={}, is_binary_by_default=False)
    accepted = call.headers.get("accept-encoding", "")
    if accepted and sum(len(each.data) for each in response.outputs) > _LARGE_BYTES:
        return await call.in_thread(infer_reply, asked, response, accepted)
    return infer_reply(asked, response, accepted)


async def generate(core: InferenceCore, call: Call, name: str, version: str) -> Reply:
    """Answer ``POST /v2/models/NAME/generate``.

    Raises
    ------
    ModelError
        A mistake in the request.
    """
    replies = [reply async for reply in generate_events(core, call, name, version)]
    if len(replies) != 1:
        return Reply.error(
            200,
            "generate expects model to produce exactly 1 response, use generate stream "
            "for model that generates various number of responses",
        )
    return replies[0]


async def generate_events(
    core: InferenceCore, call: Call, name: str, version: str
) -> AsyncIterator[Reply]:
    """Yield the replies to ``POST /v2/models/NAME/generate_stream``, one per event.

    Raises
    ------
    ModelError
        A mistake in the request, before the first event.
    """
    loaded = core.repository.find(name, version)
    request = _generate_request(call, loaded.model)
    try:
        responses = await _submit(core, call, loaded, request)
        while (response := await responses.get()) is not None:
            if response.error is None:
                yield _generated(response)
            else:
                yield Reply.error(400, response.error.message)  # whatever its code
    except asyncio.CancelledError:
        _drop(call, loaded)
        raise


def _drop(call: Call, loaded: Loaded) -> None:
    """Keep nothing of a waiting request whose client has left."""
    call.cancellation.cancel()
    loaded.drop_cancelled()


async def _submit(
    core: InferenceCore, call: Call, loaded: Loaded, request: InferenceRequest
) -> asyncio.Queue[InferenceResponse | None]:
    """Submit a request, and return the queue of its responses; None ends them."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[InferenceResponse | None] = asyncio.Queue()

    def put(response: InferenceResponse | None, is_final: bool) -> None:
        if response is not None:
            queue.put_nowait(response)
        if is_final:
            queue.put_nowait(None)

    def respond(response: InferenceResponse | None, is_final: bool) -> None:
        with suppress(RuntimeError):  # the server has stopped: nobody waits
            loop.call_soon_threadsafe(put, response, is_final)

    if core.has_faults:  # which may hold a request back
        await call.in_thread(core.submit, loaded, request, respond)
    else:
        core.submit(loaded, request, respond)
    return queue


def _generate_request(call: Call, model: Model) -> InferenceRequest:
    check_json_size(call.profile, len(call.body))
    value = parse(call.body)
    if not isinstance(value, JsonObject):
        raise internal("attempt to get members for non-object")
    request_id = member(value, "id", str) if "id" in value else ""
    nested = value.pop("parameters", JsonObject([]))
    if not isinstance(nested, JsonObject):
        raise internal(
            "Expected JSON object for keyword: 'parameters': attempt to access JSON "
            "non-object as object"
        )
    specs = {spec.name: spec for spec in model.inputs}
    for key in specs:
        if key in value.repeated | nested.repeated or (key in value and key in nested):
            raise invalid_request(
                request_id, f"input '{key}' already exists in request"
            )
    members = {**value, **nested}
    inputs = tuple(
        _generate_input(specs[key], content, model, call.profile)
        for key, content in members.items()
        if key in specs
    )
    parameters = {key: each for key, each in members.items() if key not in specs}
    return call.request(
        model, inputs, id=request_id, is_streamed=True, **request_fields(parameters)
    )


def _generate_input(
    spec: TensorSpec, content: Json, model: Model, profile: Profile
) -> RawTensor:
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
    data = data_of_json(
        content, name=spec.name, datatype=spec.datatype, shape=shape, profile=profile
    )
    return RawTensor(spec.name, spec.datatype, shape, data)


def _generated(response: InferenceResponse) -> Reply:
    """Outputs by name; one element stands without brackets."""
    members: dict[str, Json] = {"id": response.id} if response.id else {}
    members["model_name"] = response.model_name
    members["model_version"] = response.model_version
    for tensor in response.outputs:
        try:
            data = json_of_data(tensor)
        except ModelError as error:
            return Reply(200, dump({"error": error.message}))
        members[tensor.name] = data[0] if element_count(tensor.shape) == 1 else data
    return Reply.json(members)
