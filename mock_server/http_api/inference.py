"""``infer``: a request, its run, its answer."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from mock_server.core.inference_core import InferenceCore, refuse_decoupled
from mock_server.core.loaded_model import Loaded
from mock_server.errors import ModelError, invalid
from mock_server.http_api.call import Call
from mock_server.http_api.compression import accepted_encoding, compress
from mock_server.http_api.raw_request import raw_request
from mock_server.http_api.reply import BINARY, JSON, PlainTextError, Reply
from mock_server.http_api.requests import HttpInference, inference_request
from mock_server.http_api.responses import HEADER_LENGTH, infer_answer
from mock_server.model.declaration import Model
from mock_server.wire.inference import InferenceRequest, InferenceResponse, Respond


async def infer(core: InferenceCore, call: Call, name: str, version: str) -> Reply:
    """Answer to ``POST /v2/models/NAME/infer``.

    Raises
    ------
    ModelError, PlainTextError
        What is wrong with the request, or the model's own error.
    """
    loaded = find(core, name, version)
    try:
        refuse_decoupled(
            loaded,
            "HTTP end point doesn't support models with decoupled transaction policy",
        )
    except ModelError as error:
        raise PlainTextError(error) from error
    asked = _read(core, call, loaded.model)
    response = await _answer(core, call, loaded, asked.request)
    if response.error is not None:
        raise PlainTextError(response.error)
    answer = infer_answer(asked, response)
    headers = {}
    if answer.header_length is not None:
        headers[HEADER_LENGTH] = str(answer.header_length)
    encoding = accepted_encoding(call.headers.get("accept-encoding", ""))
    body = answer.body
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        body = compress(body, encoding)
    return Reply(200, body, BINARY if HEADER_LENGTH in headers else JSON, headers)


def find(core: InferenceCore, name: str, version: str) -> Loaded:
    """Model that a request for inference names.

    Raises
    ------
    PlainTextError
        NOT_FOUND.
    """
    try:
        return core.repository.find(name, version)
    except ModelError as error:
        raise PlainTextError(error) from error


def _read(core: InferenceCore, call: Call, model: Model) -> HttpInference:
    header_length = len(call.body)
    if HEADER_LENGTH.lower() in call.headers:
        header_length = _leading_number(call.headers[HEADER_LENGTH.lower()])
    if not 0 <= header_length <= len(call.body):
        raise invalid(
            f"inference header size should be in range (0, {len(call.body)}), got: "
            f"{header_length}"
        )
    if header_length == 0:
        return raw_request(
            model,
            call.body,
            cancellation=call.cancellation,
            drop_connection=call.drop_connection,
        )
    return inference_request(
        model,
        call.body[:header_length],
        call.body[header_length:],
        core.shared_memory,
        cancellation=call.cancellation,
        drop_connection=call.drop_connection,
    )


def _leading_number(text: str) -> int:
    """As C's ``atoi`` reads it: what is no number is 0."""
    match = re.match(r"\s*([+-]?\d{1,18})", text, re.ASCII)
    return int(match[1]) if match else 0


async def _answer(
    core: InferenceCore, call: Call, loaded: Loaded, request: InferenceRequest
) -> InferenceResponse:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[InferenceResponse] = loop.create_future()

    def resolve(response: InferenceResponse) -> None:
        if not answer.done():
            answer.set_result(response)

    def respond(response: InferenceResponse | None, is_final: bool) -> None:
        if response is not None:
            with suppress(RuntimeError):  # the server has stopped: nobody waits
                loop.call_soon_threadsafe(resolve, response)

    await submit(core, call, loaded, request, respond)
    return await answer


async def submit(
    core: InferenceCore,
    call: Call,
    loaded: Loaded,
    request: InferenceRequest,
    respond: Respond,
) -> None:
    """Queue a request; a planned fault may hold it back, so not in the event loop.

    Raises
    ------
    ModelError
        As `InferenceCore.submit` does.
    """
    if core.has_faults:
        await call.in_thread(core.submit, loaded, request, respond)
    else:
        core.submit(loaded, request, respond)
