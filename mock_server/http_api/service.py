"""KServe v2 over HTTP, answered as Triton Inference Server 2.51 answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

import grpc
from aiohttp import web

from mock_server.core.inference_core import InferenceCore
from mock_server.core.planned_faults import INFER, NotReadyError, PlannedFaults
from mock_server.errors import ModelError
from mock_server.http_api import management, repository
from mock_server.http_api.call import Call
from mock_server.http_api.compression import decompress, too_large
from mock_server.http_api.descriptions import described
from mock_server.http_api.generate import EVENT_STREAM, generate, generate_events
from mock_server.http_api.inference import infer
from mock_server.http_api.reply import TEXT, PlainTextError, Reply
from mock_server.http_api.routes import Route, route_of
from mock_server.scheduling.threads import RequestThreads
from mock_server.wire.inference import Cancellation

MAX_REQUESTS_THAT_WAIT = 256
"""Threads for what may block: planned faults, loading of models."""

_ENCODINGS = {"Accept-Encoding": "gzip, deflate"}
_NOT_READY = Reply.error(400, "Model version not ready", TEXT)


class HttpService:
    """Answers requests in the event loop; what may block runs in its threads.

    Parameters
    ----------
    core : InferenceCore
        Shared with the other protocols of the server.
    faults : PlannedFaults, optional
        Asked about each request before it is looked at.
    max_body_bytes : int
        Larger bodies, compressed or not, are refused.
    """

    def __init__(
        self,
        core: InferenceCore,
        faults: PlannedFaults | None = None,
        *,
        max_body_bytes: int,
    ) -> None:
        self._core = core
        self._faults = faults
        self._max_body_bytes = max_body_bytes
        self._threads = RequestThreads(MAX_REQUESTS_THAT_WAIT, "mock-server-http")

    def close(self) -> None:
        """End the threads, once no request is left."""
        self._threads.shutdown()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Response to one HTTP request, errors included."""
        route = route_of(unquote(request.raw_path.partition("?")[0]))
        if route is None:
            return _sent(Reply.error(404, "Not Found", TEXT))
        allowed = (route.method,) if route.method else ("GET", "POST")
        if request.method not in allowed:
            return _sent(Reply.error(405, "Method Not Allowed", route.refusal_type))
        try:
            return await self._answered(request, route)
        except NotReadyError as error:
            is_asked = route.action in {"ready", "model_ready"}
            reply = _NOT_READY if is_asked else Reply.of_error(error)
        except PlainTextError as error:
            reply = Reply.of_error(error.error, TEXT, error.headers)
        except ModelError as error:
            reply = Reply.of_error(error)
        return _sent(reply)

    async def _answered(self, request: web.Request, route: Route) -> web.StreamResponse:
        cancellation = Cancellation()
        try:
            call = await self._read(request, cancellation)
            await self._befall(route, call)
            if route.action == "generate_stream":
                return await self._stream(request, route, call)
            return _sent(await self._answer(route, call))
        finally:
            # If the client has left, this is what stops the model's work for it.
            cancellation.cancel()

    async def _read(self, request: web.Request, cancellation: Cancellation) -> Call:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise too_large(self._max_body_bytes) from error
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = decompress(
                body, headers.get("content-encoding", ""), self._max_body_bytes
            )
        except ModelError as error:
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                raise PlainTextError(error, _ENCODINGS) from error
            raise
        return Call(
            method=request.method,
            body=body,
            headers=headers,
            cancellation=cancellation,
            drop_connection=_dropping(request),
            threads=self._threads,
        )

    async def _befall(self, route: Route, call: Call) -> None:
        if self._faults is None:
            return
        self._faults.check_access(route.rpc, call.headers.get("authorization"))
        if route.rpc != INFER:
            await call.in_thread(
                self._faults.apply_to_call,
                route.rpc,
                model_name=route.fields.get("model", ""),
                cancellation=call.cancellation,
                drop_connection=call.drop_connection,
            )

    async def _answer(self, route: Route, call: Call) -> Reply:
        core = self._core
        model, version = route.fields.get("model", ""), route.fields.get("version", "")
        match route.action:
            case "infer":
                reply = await infer(core, call, model, version)
            case "generate":
                reply = await generate(core, call, model, version)
            case "live":
                reply = Reply(content_type=TEXT)
            case "ready":
                reply = Reply(200 if core.is_ready else 400, content_type=TEXT)
            case "model_ready":
                is_ready = core.repository.is_ready(model, version)
                reply = Reply(content_type=TEXT) if is_ready else _NOT_READY
            case "load" | "unload" | "index":
                reply = await call.in_thread(
                    repository.answer, core, route.action, route.fields, call.body
                )
            case "trace":
                reply = management.trace(core, call.method, model, call.body)
            case "logging":
                reply = management.logging_settings(core, call.method, call.body)
            case "system_memory" | "cuda_memory":
                reply = management.shared_memory(
                    core,
                    kind=route.action.partition("_")[0],
                    verb=route.fields["verb"],
                    region=route.fields.get("region", ""),
                    body=call.body,
                )
            case action:
                reply = described(core, action, model, version)
        return reply

    async def _stream(
        self, request: web.Request, route: Route, call: Call
    ) -> web.StreamResponse:
        events = generate_events(
            self._core, call, route.fields["model"], route.fields.get("version", "")
        )
        response: web.StreamResponse | None = None
        async for status, event in events:
            if response is None:
                response = _events_response(status)
                await response.prepare(request)
            await response.write(event)
        if response is None:
            response = _events_response(200)
            await response.prepare(request)
        await response.write_eof()
        return response


def _events_response(status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Type": EVENT_STREAM})
    response.enable_chunked_encoding()
    return response


def _sent(reply: Reply) -> web.Response:
    response = web.Response(
        status=reply.status,
        body=reply.body,
        headers={"Content-Type": reply.content_type, **reply.headers},
    )
    if reply.is_chunked:
        response.enable_chunked_encoding()
    return response


def _dropping(request: web.Request) -> Callable[[], object]:
    """Closes the connection of a request, when called from any thread."""
    loop = asyncio.get_running_loop()
    transport = request.transport

    def drop() -> None:
        if transport is not None:
            loop.call_soon_threadsafe(transport.abort)

    return drop
